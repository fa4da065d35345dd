"""The smaller fields of a request: how much to think, what to include, which way to run."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from models.schemas.strict import ItemId, WireModel

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]

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

ServiceTier = Literal["auto", "default", "flex", "priority"]


class ReasoningOptions(WireModel):
    """How much the model thinks, and whether that is summarised."""

    effort: Effort | None = None
    summary: SummaryLength | None = None
    generate_summary: SummaryLength | None = Field(None, exclude=True)
    """An older name of `summary`."""

    @model_validator(mode="after")
    def _one_summary(self) -> Self:
        if self.generate_summary is not None and self.summary not in (None, self.generate_summary):
            raise PydanticCustomError(
                "conflicting_values",
                "it disagrees with reasoning.summary",
                {"field": "reasoning.generate_summary"},
            )
        self.summary = self.summary or self.generate_summary
        return self


class StreamOptions(WireModel):
    """What a stream has beside its events."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ConversationId(WireModel):
    """A conversation as an object."""

    id: ItemId
