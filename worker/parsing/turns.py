"""Parser of one turn of a model: its reasoning, tool calls and answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.profile.formats.call_format import CallFormat
from models.profile.formats.named_json.harmony import HARMONY
from models.profile.thinking import HARMONY_TAGS, AnswerTags, ThinkTags
from worker.parsing.answer_tags import AnswerTagsFilter
from worker.parsing.arguments.reader import ArgumentTypes
from worker.parsing.harmony import HarmonyParser
from worker.parsing.reasoning import ReasoningParser
from worker.parsing.segments import Kind, Segment, SegmentParser
from worker.parsing.tool_calls import ToolCallParser


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFormat:
    """Notation of reasoning and tool calls in a model's output."""

    think_tags: ThinkTags | None = None
    answer_tags: AnswerTags | None = None
    """Tags around the answer; None if it has none."""
    call_format: CallFormat | None = None
    """Format of tool calls; None if no tools were offered."""
    functions: frozenset[str] = frozenset()
    """Functions that may be called and that the client runs."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Custom tools that may be called, with the text that ends their input; empty if none does."""
    types: Mapping[str, ArgumentTypes] = field(default_factory=dict)
    """Types of the arguments of each function, for formats that do not show them."""

    @property
    def is_plain(self) -> bool:
        """Return True if all output is answer."""
        return self.think_tags is None and self.call_format is None

    def opens_reasoning(self, text: str) -> bool:
        """Return True if the text that precedes a turn ends with the opening reasoning tag."""
        return self.think_tags is not None and text.rstrip().endswith(self.think_tags.opener)

    def parser(self, *, opens_reasoning: bool) -> SegmentParser:
        """Return a parser for the text of one turn."""
        if self.think_tags == HARMONY_TAGS:
            has_other = self.call_format not in (None, HARMONY)
            return HarmonyParser(self.functions, self.call_parser if has_other else None)
        return TurnParser(self, opens_reasoning=opens_reasoning)

    def call_parser(self) -> ToolCallParser:
        """Return a parser for the calls in an answer."""
        assert self.call_format is not None
        return ToolCallParser(self.call_format, self.functions, self.inputs, self.types)


class TurnParser:
    """Splits the text of one turn into segments; tool calls are recognised in the answer alone."""

    def __init__(self, turn_format: TurnFormat, *, opens_reasoning: bool) -> None:
        tags = turn_format.answer_tags
        self._reasoning = ReasoningParser(
            turn_format.think_tags,
            is_open=opens_reasoning,
            answer_opener=tags.opener if tags else "",
        )
        self._calls = turn_format.call_parser() if turn_format.call_format else None
        self._answer = AnswerTagsFilter(tags) if tags else None

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        return [part for segment in self._reasoning.add(text) for part in self._split(segment)]

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text."""
        segments = [part for segment in self._reasoning.flush() for part in self._split(segment)]
        if self._calls is not None:
            segments += self._filter(self._calls.flush())
        return [*segments, *self._answer.flush()] if self._answer is not None else segments

    def _split(self, segment: Segment) -> list[Segment]:
        if segment.kind is not Kind.ANSWER:
            return [segment]
        return self._filter([segment] if self._calls is None else self._calls.add(segment.text))

    def _filter(self, segments: list[Segment]) -> list[Segment]:
        return segments if self._answer is None else self._answer.add(segments)
