"""Smaller fields of a request: reasoning, `include`, service tier, stream options."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from models.schemas.strict import ItemId, WireModel, refuse_values

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

Include = Literal[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
]

SummaryLength = Literal["auto", "concise", "detailed"]

ReasoningContext = Literal["auto", "current_turn", "all_turns"]

ServiceTier = Literal["auto", "default", "fast", "flex", "priority", "scale", "ultrafast"]


class ReasoningOptions(WireModel):
    """The model's reasoning effort, and whether the reasoning is summarised."""

    effort: Effort | None = None
    summary: SummaryLength | None = None
    context: ReasoningContext | None = None
    """Turns whose reasoning the model reads again; `auto` leaves it to the chat template."""
    mode: Annotated[Literal["standard"] | None, refuse_values("pro")] = None
    generate_summary: SummaryLength | None = Field(None, exclude=True)
    """Deprecated name of `summary`."""

    @model_validator(mode="after")
    def _merge_summary(self) -> Self:
        if self.generate_summary is not None and self.summary not in (None, self.generate_summary):
            raise PydanticCustomError(
                "conflicting_values",
                "it disagrees with reasoning.summary",
                {"field": "reasoning.generate_summary"},
            )
        self.summary = self.summary or self.generate_summary
        return self


class ContextManagement(WireModel):
    """An entry of `context_management`: input beyond the threshold, in tokens, is compacted."""

    type: Literal["compaction"]
    compact_threshold: int | None = Field(None, ge=1)


class StreamOptions(WireModel):
    """Optional additions to the events of a stream."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ConversationId(WireModel):
    """A conversation's id, as an object."""

    id: ItemId
