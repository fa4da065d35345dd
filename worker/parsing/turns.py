"""Parser of one turn of a model: its reasoning, tool calls and answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.profile.call_format import CallFormat
from models.profile.thinking import ThinkTags
from worker.parsing.reasoning import ReasoningParser
from worker.parsing.segments import Kind, Segment, SegmentParser
from worker.parsing.tool_calls import ToolCallParser


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFormat:
    """Notation of reasoning and tool calls in a model's output."""

    think_tags: ThinkTags | None = None
    call_format: CallFormat | None = None
    """Format of tool calls; None if no tools were offered."""
    functions: frozenset[str] = frozenset()
    """Functions that may be called and that the client runs."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Custom tools that may be called, with the text that ends their input; empty if none does."""

    @property
    def is_plain(self) -> bool:
        """Return True if all output is answer."""
        return self.think_tags is None and self.call_format is None

    def opens_reasoning(self, text: str) -> bool:
        """Return True if the text that precedes a turn ends with the opening reasoning tag."""
        return self.think_tags is not None and text.rstrip().endswith(self.think_tags.opener)

    def parser(self, *, opens_reasoning: bool) -> SegmentParser:
        """Return a parser for the text of one turn."""
        return TurnParser(self, opens_reasoning=opens_reasoning)


class TurnParser:
    """Splits the text of one turn into segments; tool calls are recognised in the answer alone."""

    def __init__(self, turn_format: TurnFormat, *, opens_reasoning: bool) -> None:
        self._reasoning = ReasoningParser(turn_format.think_tags, is_open=opens_reasoning)
        call_format = turn_format.call_format
        self._calls = (
            ToolCallParser(call_format, turn_format.functions, turn_format.inputs)
            if call_format
            else None
        )

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        return [part for segment in self._reasoning.add(text) for part in self._split(segment)]

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text."""
        segments = [part for segment in self._reasoning.flush() for part in self._split(segment)]
        return [*segments, *self._calls.flush()] if self._calls else segments

    def _split(self, segment: Segment) -> list[Segment]:
        if self._calls is None or segment.kind is not Kind.ANSWER:
            return [segment]
        return self._calls.add(segment.text)
