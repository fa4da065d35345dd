"""Pipeline from token ids to segments that may be shown.

It detokenizes to whole code points, separates reasoning and tool calls from the answer, and removes
stop strings.
"""

from collections.abc import Sequence
from typing import NamedTuple

from worker.engine.interface import Tokenizer
from worker.parsing.detokenize import Detokenizer
from worker.parsing.segments import Kind, Segment
from worker.parsing.stop import StopMatcher
from worker.parsing.turns import TurnFormat

PLAIN = TurnFormat()
"""Format of output that is all answer."""


def replace_nul(text: str) -> str:
    """Return the text with NUL, which Postgres cannot store, replaced by U+FFFD."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class ConfirmedText(NamedTuple):
    """Segment that no later token can change."""

    kind: Kind
    text: str
    end: int
    """End of the segment in the text of the sequence, in characters."""
    name: str = ""
    """Name of the function, for `CALL_BEGIN`."""


class TextPipeline:
    """Parser of one sequence's tokens; counts its text in characters.

    Stop strings are matched in the answer alone.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: list[str],
        turn_format: TurnFormat = PLAIN,
        *,
        opens_reasoning: bool = False,
    ) -> None:
        """Create a pipeline; `opens_reasoning`: the prompt ends within reasoning."""
        self._tokenizer = tokenizer
        self._stop = stop
        self._format = turn_format
        self.is_plain = turn_format.is_plain
        self.num_decoded = 0
        """Characters decoded so far, buffered ones included."""
        self._num_confirmed = 0
        self._begin(opens_reasoning)

    def add(self, token_id: int) -> tuple[list[ConfirmedText], bool]:
        """Return the newly confirmed text, and True if a stop string was reached."""
        return self._match(self._parse(self._detokenizer.add(token_id)))

    def flush(self) -> tuple[list[ConfirmedText], bool]:
        """Return the text still buffered at the end, and True if it held a stop string."""
        segments = self._parse(self._detokenizer.flush())
        confirmed, is_stopped = self._match([*segments, *self._parser.flush()])
        if not is_stopped:
            self._confirm(confirmed, Kind.ANSWER, self._stop_matcher.flush())
        return confirmed, is_stopped

    def begin_turn(self, token_ids: Sequence[int]) -> str:
        """Begin a turn after given tokens, which were not generated; return their text.

        Buffered text is dropped.
        """
        text = self._tokenizer.decode(list(token_ids))
        self._num_confirmed = self.num_decoded
        self._begin(self._format.opens_reasoning(text))
        return text

    def _begin(self, opens_reasoning: bool) -> None:
        self.opens_reasoning = opens_reasoning
        self._detokenizer = Detokenizer(self._tokenizer)
        self._parser = self._format.parser(opens_reasoning=opens_reasoning)
        self._stop_matcher = StopMatcher(self._stop)

    def _parse(self, decoded: str) -> list[Segment]:
        self.num_decoded += len(decoded)
        return self._parser.add(replace_nul(decoded))

    def _match(self, segments: list[Segment]) -> tuple[list[ConfirmedText], bool]:
        confirmed: list[ConfirmedText] = []
        for segment in segments:
            kind, text = segment.kind, segment.text
            if kind is not Kind.ANSWER:
                self._confirm(confirmed, Kind.ANSWER, self._stop_matcher.flush())
                self._confirm(confirmed, kind, text, segment.name)
                continue
            shown, is_stopped = self._stop_matcher.add(text)
            self._confirm(confirmed, kind, shown)
            if is_stopped:
                return confirmed, True
        return confirmed, False

    def _confirm(
        self, confirmed: list[ConfirmedText], kind: Kind, text: str, name: str = ""
    ) -> None:
        if text:
            self._num_confirmed += len(text)
            confirmed.append(ConfirmedText(kind, text, self._num_confirmed, name))
