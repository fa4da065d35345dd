"""From tokens to text that may be shown: whole code points, and no stop string."""

from worker.engine import Detokenizer, StopMatcher, Tokenizer


def storable(text: str) -> str:
    """The text without the one character that Postgres does not keep."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class TextPipeline:
    """The text of one sequence, and how much of it there is so far, in characters."""

    def __init__(self, tokenizer: Tokenizer, stop: list[str]) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._stop_matcher = StopMatcher(stop)
        self.num_decoded = 0
        """With what is held back."""
        self.num_shown = 0

    def add(self, token_id: int) -> tuple[str, bool]:
        """The text that has become sure, and whether a stop string was reached."""
        return self._match(self._detokenizer.add(token_id))

    def flush(self) -> tuple[str, bool]:
        """What was held back, at the end of the tokens, and whether a stop string was in it."""
        text, is_stopped = self._match(self._detokenizer.flush())
        if not is_stopped:
            held = self._stop_matcher.flush()
            self.num_shown += len(held)
            text += held
        return text, is_stopped

    def _match(self, decoded: str) -> tuple[str, bool]:
        self.num_decoded += len(decoded)
        text, is_stopped = self._stop_matcher.add(storable(decoded))
        self.num_shown += len(text)
        return text, is_stopped
