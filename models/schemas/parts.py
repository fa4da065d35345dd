"""Content parts: the pieces of text and media that items are made of (specification §2, §3)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from models.schemas.strict import Duration, FailFastList, Text, WireModel
from models.schemas.unserved import IMAGE_PART, INPUT_PART, PLAIN_TEXT, TEXT_PART

MAX_IMAGE = 20 * 1024 * 1024
MAX_FILE = 32 * 1024 * 1024
"""Maximum characters of the URL or data of an image and of a file (specification)."""

Address = Annotated[str, Field(max_length=MAX_IMAGE)]
FileData = Annotated[str, Field(max_length=MAX_FILE)]


class CacheBreakpoint(WireModel):
    """The end of a prefix that is used again: a hint, as prefixes are cached in any case."""

    mode: Literal["explicit"] | None = None
    ttl: Duration | None = None


class InputText(WireModel):
    """Text of a user, system or developer message."""

    unserved = INPUT_PART

    type: Literal["input_text"]
    text: Text
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class PlainText(WireModel):
    """Text, without saying whether it is input or output."""

    unserved = PLAIN_TEXT

    type: Literal["text"]
    text: Text


class InputImage(WireModel):
    """An image, by its URL or as a data URL."""

    unserved = IMAGE_PART

    type: Literal["input_image"]
    image_url: Address | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputFile(WireModel):
    """A file, as base64 or by its URL."""

    type: Literal["input_file"]
    filename: str | None = None
    file_data: FileData | None = None
    file_url: Address | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto"] | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputVideo(WireModel):
    """A video, by its URL or as a data URL."""

    type: Literal["input_video"]
    video_url: Address


class AudioData(WireModel):
    """Audio as base64."""

    data: FileData
    format: str


class InputAudio(WireModel):
    """Audio, as older clients of the API send it."""

    type: Literal["input_audio"]
    input_audio: AudioData


class UrlCitation(WireModel):
    """The source of a passage of the text; the indexes count characters."""

    type: Literal["url_citation"] = "url_citation"
    start_index: int
    end_index: int
    url: str
    title: str


class TopLogprob(WireModel):
    """A token that could have been sampled, and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """The sampled token, with the most probable ones at its position."""

    top_logprobs: list[TopLogprob]


class OutputText(WireModel):
    """Text that the model generated."""

    type: Literal["output_text"] = "output_text"
    text: Text
    annotations: list[UrlCitation] = Field(default_factory=list)
    logprobs: list[TokenLogprob] = Field(default_factory=list)


class AssistantText(WireModel):
    """Output text sent back as input; any server may have annotated it."""

    unserved = TEXT_PART

    type: Literal["output_text"]
    text: Text
    annotations: FailFastList[dict[str, Any]] | None = None
    logprobs: FailFastList[dict[str, Any]] | None = None


class Refusal(WireModel):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: Text


class ReasoningText(WireModel):
    """The text of the model's reasoning."""

    type: Literal["reasoning_text"] = "reasoning_text"
    text: Text


class SummaryText(WireModel):
    """A summary of the model's reasoning."""

    type: Literal["summary_text"] = "summary_text"
    text: Text


MEDIA_PARTS = ("input_image", "input_file", "input_video", "input_audio")
"""Types of the parts that only multimodal models accept."""

MessagePart = Annotated[
    InputText
    | PlainText
    | InputImage
    | InputFile
    | InputVideo
    | InputAudio
    | AssistantText
    | Refusal,
    Field(discriminator="type"),
]
ToolOutputPart = Annotated[
    InputText | PlainText | AssistantText | InputImage | InputFile | InputVideo,
    Field(discriminator="type"),
]
ReasoningPart = Annotated[
    ReasoningText | PlainText | AssistantText | SummaryText, Field(discriminator="type")
]


class SearchResult(WireModel):
    """A page that a web search has found."""

    url: str
    title: str = ""
    text: str = ""
