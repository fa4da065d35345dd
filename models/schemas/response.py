"""The response object: the 31 fields of the specification (§3), each always present.

Fields of OpenAI's API beside them are present if the request had them: `conversation`, `user` and
the hints of `models/schemas/request/hints.py`.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field


def _is_none(value: object) -> bool:
    return value is None


class InputTokensDetails(BaseModel):
    """Input tokens found in the prefix cache."""

    cached_tokens: int


class OutputTokensDetails(BaseModel):
    """Output tokens that were reasoning."""

    reasoning_tokens: int


class Usage(BaseModel):
    """Token counts of a response."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int

    @classmethod
    def of(
        cls,
        *,
        input_tokens: int,
        cached_tokens: int,
        output_tokens: int,
        reasoning_tokens: int = 0,
    ) -> "Usage":
        """Return the usage for the engine's token counts."""
        return cls(
            input_tokens=input_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=cached_tokens),
            output_tokens=output_tokens,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=reasoning_tokens),
            total_tokens=input_tokens + output_tokens,
        )


class QueuePlaceResource(BaseModel):
    """Place of a queued response."""

    position: int | None
    """1 for the next one of the queue; null before the time of `not_before`."""
    eta_seconds: float | None
    """Seconds until it is expected to start; null if that is not known."""


class ServerNotes(BaseModel):
    """What this server tells of a response beside the specification."""

    queue: QueuePlaceResource


class ResponseResource(BaseModel):
    """A response as clients see it. Sampling parameters are the values in effect, never null."""

    id: str
    object: Literal["response"] = "response"
    access_programs: dict[str, Any] | None = Field(None, exclude_if=_is_none)
    created_at: int
    completed_at: int | None
    conversation: dict[str, str] | None = Field(None, exclude_if=_is_none)
    status: str
    background: bool
    error: dict[str, Any] | None
    frequency_penalty: float
    image: dict[str, Any] | None = Field(None, exclude_if=_is_none)
    incomplete_details: dict[str, str] | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    model: str
    output: list[dict[str, Any]]
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: str | None
    prompt_cache_key: str | None
    prompt_cache_options: dict[str, Any] | None = Field(None, exclude_if=_is_none)
    prompt_cache_retention: str | None = Field(None, exclude_if=_is_none)
    reasoning: dict[str, Any] | None
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    user: str | None = Field(None, exclude_if=_is_none)
    truncation: Literal["auto", "disabled"]
    usage: Usage | None
    antiphon: ServerNotes | None = Field(None, exclude_if=_is_none)
    """Present while it is queued, where one response is read."""
