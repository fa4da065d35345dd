"""The `chat.completion` object, and what it shares with the chunks of a stream."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from models.schemas.parts import TokenLogprob
from models.schemas.response import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


def _is_none(value: object) -> bool:
    return value is None


class PromptTokensDetails(BaseModel):
    """Tokens of the prompt found in the prefix cache."""

    cached_tokens: int
    audio_tokens: Literal[0] = 0


class CompletionTokensDetails(BaseModel):
    """Generated tokens that were reasoning."""

    reasoning_tokens: int
    audio_tokens: Literal[0] = 0
    accepted_prediction_tokens: Literal[0] = 0
    rejected_prediction_tokens: Literal[0] = 0


class ChatUsage(BaseModel):
    """Token counts of a completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails

    @classmethod
    def of(cls, usage: Usage) -> "ChatUsage":
        """Return the usage of a response in the terms of chat completions."""
        cached = usage.input_tokens_details.cached_tokens
        reasoning = usage.output_tokens_details.reasoning_tokens
        return cls(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=cached),
            completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning),
        )


class CompletedFunction(BaseModel):
    """The function that is called; `arguments` is JSON."""

    name: str
    arguments: str


class CompletedFunctionCall(BaseModel):
    """A function that the model asks the client to call."""

    id: str
    type: Literal["function"] = "function"
    function: CompletedFunction


class CompletedCustom(BaseModel):
    """The custom tool that is called."""

    name: str
    input: str


class CompletedCustomCall(BaseModel):
    """A custom tool that the model asks the client to call."""

    id: str
    type: Literal["custom"] = "custom"
    custom: CompletedCustom


CompletedCall = Annotated[CompletedFunctionCall | CompletedCustomCall, Field(discriminator="type")]


class ChatCitation(BaseModel):
    """The source of a passage of the text; the indexes count characters."""

    start_index: int
    end_index: int
    url: str
    title: str


class ChatAnnotation(BaseModel):
    """An annotation of the text."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: ChatCitation


class CompletedMessage(BaseModel):
    """The message that the model generated."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    """Null if the message has calls and no text."""
    refusal: None = None
    reasoning_content: str | None = Field(None, exclude_if=_is_none)
    tool_calls: list[CompletedCall] | None = Field(None, exclude_if=_is_none)
    annotations: list[ChatAnnotation] = Field(default_factory=list)


class ChoiceLogprobs(BaseModel):
    """Log probabilities of the tokens of the text."""

    content: list[TokenLogprob]
    refusal: None = None


class CompletedChoice(BaseModel):
    """One of the `n` completions."""

    index: int
    message: CompletedMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason


class Completion(BaseModel):
    """Fields that a completion and the chunks of its stream have in common."""

    id: str
    created: int
    model: str
    service_tier: str
    system_fingerprint: None = None


class ChatCompletion(Completion):
    """A completed chat."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[CompletedChoice]
    usage: ChatUsage
    metadata: dict[str, str]
