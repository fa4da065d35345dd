"""Server-sent events of single items (specification §4), one class per event type."""

from typing import Literal

from pydantic import Field

from models.schemas.event_types import ContentEvent, ItemEvent, PieceEvent
from models.schemas.output import OutputItem
from models.schemas.parts import OutputText, ReasoningText, SummaryText, TokenLogprob, UrlCitation
from models.schemas.tools.custom import CustomInputDelta, CustomInputDone
from models.schemas.tools.mcp_items import AnyMcpEvent


class OutputItemAdded(ItemEvent):
    """An output item has been added."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    item: OutputItem


class OutputItemDone(ItemEvent):
    """An output item has its final form."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    item: OutputItem


class ContentPartAdded(ContentEvent):
    """A content part has been added."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: OutputText | ReasoningText = Field(discriminator="type")


class ContentPartDone(ContentEvent):
    """A content part has its final form."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: OutputText | ReasoningText = Field(discriminator="type")


class OutputTextDelta(ContentEvent):
    """Text to append to a content part of a message."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str
    logprobs: list[TokenLogprob] = Field(default_factory=list)


class OutputTextDone(ContentEvent):
    """The whole text of a content part of a message."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str
    logprobs: list[TokenLogprob] = Field(default_factory=list)


class AnnotationAdded(ContentEvent):
    """The citation of a passage of the text."""

    type: Literal["response.output_text.annotation.added"] = "response.output_text.annotation.added"
    annotation_index: int
    annotation: UrlCitation


class ReasoningDelta(ContentEvent):
    """Text to append to the reasoning."""

    type: Literal["response.reasoning.delta"] = "response.reasoning.delta"
    delta: str


class ReasoningDone(ContentEvent):
    """The whole text of the reasoning."""

    type: Literal["response.reasoning.done"] = "response.reasoning.done"
    text: str


class SummaryEvent(PieceEvent):
    """An event of one part of the reasoning summary."""

    summary_index: int


class SummaryPartAdded(SummaryEvent):
    """A part of the reasoning summary has been added."""

    type: Literal["response.reasoning_summary_part.added"] = "response.reasoning_summary_part.added"
    part: SummaryText


class SummaryPartDone(SummaryEvent):
    """A part of the reasoning summary has its final form."""

    type: Literal["response.reasoning_summary_part.done"] = "response.reasoning_summary_part.done"
    part: SummaryText


class SummaryTextDelta(SummaryEvent):
    """Text to append to a part of the reasoning summary."""

    type: Literal["response.reasoning_summary_text.delta"] = "response.reasoning_summary_text.delta"
    delta: str


class SummaryTextDone(SummaryEvent):
    """The whole text of a part of the reasoning summary."""

    type: Literal["response.reasoning_summary_text.done"] = "response.reasoning_summary_text.done"
    text: str


class ArgumentsDelta(PieceEvent):
    """Text to append to the arguments of a function call."""

    type: Literal["response.function_call_arguments.delta"] = (
        "response.function_call_arguments.delta"
    )
    delta: str


class ArgumentsDone(PieceEvent):
    """The whole arguments of a function call."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    arguments: str


class SearchInProgress(PieceEvent):
    """A web search has started."""

    type: Literal["response.web_search_call.in_progress"] = "response.web_search_call.in_progress"


class SearchSearching(PieceEvent):
    """The query has been sent to the search provider."""

    type: Literal["response.web_search_call.searching"] = "response.web_search_call.searching"


class SearchCompleted(PieceEvent):
    """The search provider has answered."""

    type: Literal["response.web_search_call.completed"] = "response.web_search_call.completed"


SearchEvent = SearchInProgress | SearchSearching | SearchCompleted

AnyItemEvent = (
    OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | AnnotationAdded
    | ReasoningDelta
    | ReasoningDone
    | SummaryPartAdded
    | SummaryPartDone
    | SummaryTextDelta
    | SummaryTextDone
    | ArgumentsDelta
    | ArgumentsDone
    | CustomInputDelta
    | CustomInputDone
    | SearchInProgress
    | SearchSearching
    | SearchCompleted
    | AnyMcpEvent
)
