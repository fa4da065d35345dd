"""Content parts: the pieces of text and media that items are made of (specification §2, §3)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from models.schemas.strict import Text, WireModel

MAX_IMAGE = 20 * 1024 * 1024
MAX_FILE = 32 * 1024 * 1024
"""Characters of an image's and of a file's address or data (the specification's limits)."""

Address = Annotated[str, Field(max_length=MAX_IMAGE)]
FileData = Annotated[str, Field(max_length=MAX_FILE)]


class InputText(WireModel):
    """Text of a user, system or developer message."""

    type: Literal["input_text"]
    text: Text


class PlainText(WireModel):
    """Text that does not say whose it is."""

    type: Literal["text"]
    text: Text


class InputImage(WireModel):
    """An image, by its address or as a data URL."""

    type: Literal["input_image"]
    image_url: Address | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto"] | None = None


class InputFile(WireModel):
    """A file, as base64 or by its address."""

    type: Literal["input_file"]
    filename: str | None = None
    file_data: FileData | None = None
    file_url: Address | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto"] | None = None


class InputVideo(WireModel):
    """A video, by its address or as a data URL."""

    type: Literal["input_video"]
    video_url: Address


class AudioData(WireModel):
    """Sound as base64."""

    data: FileData
    format: str


class InputAudio(WireModel):
    """Sound, as the older clients of the API send it."""

    type: Literal["input_audio"]
    input_audio: AudioData


class UrlCitation(WireModel):
    """Where a passage of the text, in characters, comes from."""

    type: Literal["url_citation"] = "url_citation"
    start_index: int
    end_index: int
    url: str
    title: str


class TopLogprob(WireModel):
    """A token that could have been drawn, and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """The token that was drawn, with the likeliest at its place."""

    top_logprobs: list[TopLogprob]


class OutputText(WireModel):
    """Text that the model wrote."""

    type: Literal["output_text"] = "output_text"
    text: Text
    annotations: list[UrlCitation] = Field(default_factory=list)
    logprobs: list[TokenLogprob] = Field(default_factory=list)


class AssistantText(WireModel):
    """Such text given back as input, by whichever server it was annotated."""

    type: Literal["output_text"]
    text: Text
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None


class Refusal(WireModel):
    """An assistant's refusal."""

    type: Literal["refusal"]
    refusal: Text


class ReasoningText(WireModel):
    """What the model thought, word for word."""

    type: Literal["reasoning_text"] = "reasoning_text"
    text: Text


class SummaryText(WireModel):
    """What the model thought, in short."""

    type: Literal["summary_text"] = "summary_text"
    text: Text


MEDIA_PARTS = ("input_image", "input_file", "input_video", "input_audio")
"""Parts that only a model with the senses for them takes."""

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
    InputText | InputImage | InputFile | InputVideo, Field(discriminator="type")
]
ThoughtPart = Annotated[
    ReasoningText | PlainText | AssistantText | SummaryText, Field(discriminator="type")
]


class SearchResult(WireModel):
    """A page that a search has found."""

    url: str
    title: str = ""
    text: str = ""
