"""Stop strings in streamed text; does no I/O."""

from collections.abc import Sequence


class StopMatcher:
    """Filter that passes text on up to the first stop string, however the text is split.

    Of several stop strings the one that is complete first counts, and the longer of two that end
    together. Text that may turn out to be the start of one is buffered.
    """

    def __init__(self, stop_strings: Sequence[str]) -> None:
        if not all(stop_strings):
            raise ValueError("a stop string is empty")
        self._stop_strings = tuple(stop_strings)
        self._buffer = ""
        self._is_stopped = False

    def add(self, text: str) -> tuple[str, bool]:
        """Return the text that may be shown, and True if a stop string has been reached."""
        if self._is_stopped:
            return "", True
        text = self._buffer + text
        start = self._find(text)
        if start is not None:
            self._is_stopped = True
            self._buffer = ""
            return text[:start], True
        num_shown = len(text) - self._num_possible(text)
        self._buffer = text[num_shown:]
        return text[:num_shown], False

    def flush(self) -> str:
        """Return the buffered text; call at the end of the text."""
        text, self._buffer = self._buffer, ""
        return text

    def _find(self, text: str) -> int | None:
        """Return the start of the stop string that is complete first; None if there is none."""
        starts = ((text.find(stop), stop) for stop in self._stop_strings)
        found = [(start + len(stop), start) for start, stop in starts if start >= 0]
        return min(found)[1] if found else None

    def _num_possible(self, text: str) -> int:
        """Return the length of the longest suffix of `text` that may begin a stop string."""
        longest = max(map(len, self._stop_strings), default=0)
        for length in range(min(longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop_strings):
                return length
        return 0
