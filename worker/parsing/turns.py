"""One turn of a model: what it thinks, what it calls, what it answers."""

from dataclasses import dataclass

from models.profile.call_format import CallFormat
from models.profile.thinking import ThinkTags
from worker.parsing.reasoning import ReasoningParser
from worker.parsing.segments import Kind, Segment
from worker.parsing.tool_calls import ToolCallParser


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFormat:
    """What a model may write beside its answer."""

    think_tags: ThinkTags | None = None
    call_format: CallFormat | None = None
    """How it spells calls; None if it was offered no tools."""
    functions: frozenset[str] = frozenset()
    """What it may call that the client runs."""

    @property
    def is_plain(self) -> bool:
        """Whether all is answer."""
        return self.think_tags is None and self.call_format is None

    def opens_thought(self, text: str) -> bool:
        """Whether what comes before a turn begins its thought."""
        return self.think_tags is not None and text.rstrip().endswith(self.think_tags.opener)

    def splitter(self, *, opens_thought: bool) -> "TurnParser":
        """For the text of one turn."""
        return TurnParser(self, opens_thought=opens_thought)


class TurnParser:
    """The text of one turn in pieces; calls are looked for in the answer alone."""

    def __init__(self, turn_format: TurnFormat, *, opens_thought: bool) -> None:
        self._thoughts = ReasoningParser(turn_format.think_tags, is_open=opens_thought)
        form = turn_format.call_format
        self._calls = ToolCallParser(form, turn_format.functions) if form else None

    def add(self, text: str) -> list[Segment]:
        """The pieces that have become sure."""
        return [each for piece in self._thoughts.add(text) for each in self._split(piece)]

    def flush(self) -> list[Segment]:
        """What was held back, for the end of the text."""
        pieces = [each for piece in self._thoughts.flush() for each in self._split(piece)]
        return [*pieces, *self._calls.flush()] if self._calls else pieces

    def _split(self, piece: Segment) -> list[Segment]:
        if self._calls is None or piece.kind is not Kind.ANSWER:
            return [piece]
        return self._calls.add(piece.text)
