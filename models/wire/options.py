"""The smaller fields of a request: how much to think, what to include, which way to run."""

from typing import Literal

from models.wire.items import ItemId
from models.wire.strict import WireModel

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

ServiceTier = Literal["auto", "default", "flex", "priority"]


class ReasoningOptions(WireModel):
    """How much the model thinks, and whether that is summarised."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class StreamOptions(WireModel):
    """What a stream has beside its events."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ConversationId(WireModel):
    """A conversation as an object."""

    id: ItemId
