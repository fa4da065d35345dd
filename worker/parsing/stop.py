"""Stop strings in a stream of text; pure."""

from collections.abc import Sequence


class StopMatcher:
    """Passes text on up to the first stop string, however the text is cut into pieces.

    Of several stop strings the one that is complete first counts, and the longer of two that end
    together. Text that may turn out to be the start of one is held back.
    """

    def __init__(self, stop_strings: Sequence[str]) -> None:
        if not all(stop_strings):
            raise ValueError("a stop string is empty")
        self._stop_strings = tuple(stop_strings)
        self._held = ""
        self._is_stopped = False

    def add(self, text: str) -> tuple[str, bool]:
        """Return the text that may be shown, and whether a stop string has been reached."""
        if self._is_stopped:
            return "", True
        text = self._held + text
        start = self._find(text)
        if start is not None:
            self._is_stopped = True
            self._held = ""
            return text[:start], True
        num_shown = len(text) - self._num_possible(text)
        self._held = text[num_shown:]
        return text[:num_shown], False

    def flush(self) -> str:
        """Return what was held back; for the end of the text."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Where the stop string that is complete first starts, if there is one."""
        starts = ((text.find(stop), stop) for stop in self._stop_strings)
        found = [(start + len(stop), start) for start, stop in starts if start >= 0]
        return min(found)[1] if found else None

    def _num_possible(self, text: str) -> int:
        """Length of the longest end of `text` with which a stop string starts."""
        longest = max(map(len, self._stop_strings), default=0)
        for length in range(min(longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop_strings):
                return length
        return 0
