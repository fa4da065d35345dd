"""From tokens to text that may be shown: whole code points, thoughts apart, and no stop string."""

from typing import NamedTuple

from worker.engine import Detokenizer, StopMatcher, Tokenizer
from worker.formats.thoughts import Kind, Piece, ThoughtSplitter


def storable(text: str) -> str:
    """The text without the one character that Postgres does not keep."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Sure(NamedTuple):
    """Text that has become sure."""

    kind: Kind
    text: str
    end: int
    """Where it ends in the text of the sequence, in characters."""


class TextPipeline:
    """The text of one sequence, and how much of it there is so far, in characters.

    Stop strings are looked for in the answer alone.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: list[str], splitter: ThoughtSplitter | None = None
    ) -> None:
        """Without a `splitter` all text is an answer."""
        self._detokenizer = Detokenizer(tokenizer)
        self._splitter = splitter or ThoughtSplitter(None)
        self._stop_matcher = StopMatcher(stop)
        self.may_think = self._splitter.may_think
        self.num_decoded = 0
        """With what is held back."""
        self._num_sure = 0

    def add(self, token_id: int) -> tuple[list[Sure], bool]:
        """The text that has become sure, and whether a stop string was reached."""
        return self._match(self._split(self._detokenizer.add(token_id)))

    def flush(self) -> tuple[list[Sure], bool]:
        """What was held back, at the end of the tokens, and whether a stop string was in it."""
        pieces = self._split(self._detokenizer.flush())
        sure, is_stopped = self._match([*pieces, *self._splitter.flush()])
        if not is_stopped:
            self._put(sure, Kind.ANSWER, self._stop_matcher.flush())
        return sure, is_stopped

    def _split(self, decoded: str) -> list[Piece]:
        self.num_decoded += len(decoded)
        return self._splitter.add(storable(decoded))

    def _match(self, pieces: list[Piece]) -> tuple[list[Sure], bool]:
        sure: list[Sure] = []
        for kind, text in ((piece.kind, piece.text) for piece in pieces):
            if kind is not Kind.ANSWER:
                self._put(sure, kind, text)
                continue
            shown, is_stopped = self._stop_matcher.add(text)
            self._put(sure, kind, shown)
            if is_stopped:
                return sure, True
        return sure, False

    def _put(self, sure: list[Sure], kind: Kind, text: str) -> None:
        if text:
            self._num_sure += len(text)
            sure.append(Sure(kind, text, self._num_sure))
