"""A response as it is stored, and the object that clients see made from it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from models.ids import response_wire_id
from models.responses.checkpoint import Checkpoint
from models.responses.serializers import (
    echo_conversation,
    echo_reasoning,
    echo_text,
    echo_tier,
    echo_tools,
)
from models.responses.status import ResponseStatus
from models.schemas.request.parameters import GenerationParameters
from models.schemas.response import ResponseResource, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRecord:
    """One row of `responses` with its output items."""

    id: UUID
    project_id: str
    model: str
    status: ResponseStatus
    background: bool
    store: bool
    attempt: int
    priority: int = 0
    """Higher is claimed first; follows from `service_tier`."""
    cancel_requested: bool = False
    created_at: datetime
    parameters: dict[str, Any]
    """`GenerationParameters` in force; empty in the row of a response that is not stored."""
    metadata: dict[str, str] = field(default_factory=dict)
    previous_response_id: UUID | None = None
    conversation_id: UUID | None = None
    finished_at: datetime | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, str] | None = None
    output: list[dict[str, Any]] = field(default_factory=list)
    isolated: bool = False
    """To run alone in its worker. Known as the checkpoint is."""
    checkpoint: Checkpoint | None = None
    """Known to who has just claimed or taken over the response, and to nobody else."""

    def generation_parameters(self) -> GenerationParameters:
        """The stored parameters as their type; they were validated when they were accepted."""
        return GenerationParameters.model_validate(self.parameters)


def opening_resource(stored: ResponseRecord) -> ResponseResource:
    """The object as it was when the response was accepted, however far it has come since."""
    first = ResponseStatus.QUEUED if stored.background else ResponseStatus.IN_PROGRESS
    return to_resource(_unfinished(stored, first))


def running_resource(stored: ResponseRecord) -> ResponseResource:
    """The object as it was when a worker began."""
    return to_resource(_unfinished(stored, ResponseStatus.IN_PROGRESS))


def _unfinished(stored: ResponseRecord, status: ResponseStatus) -> ResponseRecord:
    return replace(
        stored,
        status=status,
        finished_at=None,
        usage=None,
        error=None,
        incomplete_details=None,
        output=[],
    )


def to_resource(stored: ResponseRecord) -> ResponseResource:
    """The response object of a stored response."""
    is_completed = stored.status is ResponseStatus.COMPLETED and stored.finished_at is not None
    previous = stored.previous_response_id
    parameters = stored.parameters
    return ResponseResource(
        id=response_wire_id(stored.id),
        created_at=_seconds(stored.created_at),
        completed_at=_seconds(stored.finished_at) if is_completed else None,
        status=stored.status,
        background=stored.background,
        conversation=echo_conversation(stored.conversation_id),
        error=stored.error,
        frequency_penalty=parameters.get("frequency_penalty", 0.0),
        incomplete_details=stored.incomplete_details,
        instructions=parameters.get("instructions"),
        max_output_tokens=parameters.get("max_output_tokens"),
        max_tool_calls=parameters.get("max_tool_calls"),
        metadata=stored.metadata,
        model=stored.model,
        output=stored.output,
        parallel_tool_calls=parameters.get("parallel_tool_calls", True),
        presence_penalty=parameters.get("presence_penalty", 0.0),
        previous_response_id=response_wire_id(previous) if previous else None,
        prompt_cache_key=parameters.get("prompt_cache_key"),
        reasoning=echo_reasoning(parameters.get("reasoning")),
        safety_identifier=parameters.get("safety_identifier"),
        service_tier=echo_tier(parameters.get("service_tier")),
        store=stored.store,
        temperature=parameters.get("temperature", 1.0),
        text=echo_text(parameters.get("text") or {}),
        tool_choice=parameters.get("tool_choice", "auto"),
        tools=echo_tools(parameters.get("tools") or []),
        top_logprobs=parameters.get("top_logprobs", 0),
        top_p=parameters.get("top_p", 1.0),
        truncation=parameters.get("truncation", "disabled"),
        user=parameters.get("user"),
        usage=Usage.model_validate(stored.usage) if stored.usage else None,
    )


def _seconds(moment: datetime | None) -> int:
    assert moment is not None
    return int(moment.timestamp())
