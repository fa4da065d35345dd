"""From tokens to text that may be shown: whole code points, thoughts apart, and no stop string."""

from collections.abc import Sequence
from typing import NamedTuple

from worker.engine.interface import Tokenizer
from worker.parsing.detokenize import Detokenizer
from worker.parsing.segments import Kind, Segment
from worker.parsing.stop import StopMatcher
from worker.parsing.turns import TurnFormat

PLAIN = TurnFormat()
"""All is answer."""


def storable(text: str) -> str:
    """The text without the one character that Postgres does not keep."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class ConfirmedText(NamedTuple):
    """Text that has become sure."""

    kind: Kind
    text: str
    end: int
    """Where it ends in the text of the sequence, in characters."""
    name: str = ""
    """Of the function that a call begins with."""


class TextPipeline:
    """The text of one sequence, and how much of it there is so far, in characters.

    Stop strings are looked for in the answer alone.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: list[str],
        turn_format: TurnFormat = PLAIN,
        *,
        opens_thought: bool = False,
    ) -> None:
        """`opens_thought`: the prompt ends within a thought."""
        self._tokenizer = tokenizer
        self._stop = stop
        self._format = turn_format
        self.is_plain = turn_format.is_plain
        self.num_decoded = 0
        """With what is held back."""
        self._num_sure = 0
        self._begin(opens_thought)

    def add(self, token_id: int) -> tuple[list[ConfirmedText], bool]:
        """The text that has become sure, and whether a stop string was reached."""
        return self._match(self._split(self._detokenizer.add(token_id)))

    def flush(self) -> tuple[list[ConfirmedText], bool]:
        """What was held back, at the end of the tokens, and whether a stop string was in it."""
        pieces = self._split(self._detokenizer.flush())
        sure, is_stopped = self._match([*pieces, *self._splitter.flush()])
        if not is_stopped:
            self._put(sure, Kind.ANSWER, self._stop_matcher.flush())
        return sure, is_stopped

    def begin_turn(self, token_ids: Sequence[int]) -> str:
        """Go on after tokens that were given, whose text is returned; what is held is dropped."""
        text = self._tokenizer.decode(list(token_ids))
        self._num_sure = self.num_decoded
        self._begin(self._format.opens_thought(text))
        return text

    def _begin(self, opens_thought: bool) -> None:
        self.opens_thought = opens_thought
        self._detokenizer = Detokenizer(self._tokenizer)
        self._splitter = self._format.splitter(opens_thought=opens_thought)
        self._stop_matcher = StopMatcher(self._stop)

    def _split(self, decoded: str) -> list[Segment]:
        self.num_decoded += len(decoded)
        return self._splitter.add(storable(decoded))

    def _match(self, pieces: list[Segment]) -> tuple[list[ConfirmedText], bool]:
        sure: list[ConfirmedText] = []
        for piece in pieces:
            kind, text = piece.kind, piece.text
            if kind is not Kind.ANSWER:
                self._put(sure, Kind.ANSWER, self._stop_matcher.flush())
                self._put(sure, kind, text, piece.name)
                continue
            shown, is_stopped = self._stop_matcher.add(text)
            self._put(sure, kind, shown)
            if is_stopped:
                return sure, True
        return sure, False

    def _put(self, sure: list[ConfirmedText], kind: Kind, text: str, name: str = "") -> None:
        if text:
            self._num_sure += len(text)
            sure.append(ConfirmedText(kind, text, self._num_sure, name))
