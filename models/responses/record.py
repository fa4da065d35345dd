"""The stored record of a response, and its conversion into the object that clients see."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from models.ids import conversation_wire_id, response_wire_id
from models.limits.amounts import Reservation
from models.responses.checkpoint import Checkpoint
from models.responses.serializers import (
    serialise_cache_options,
    serialise_conversation,
    serialise_image,
    serialise_reasoning,
    serialise_service_tier,
    serialise_text,
    serialise_tools,
)
from models.responses.status import ResponseStatus
from models.schemas.response import ResponseResource, Usage
from models.tracing.spans import trace_id_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRecord:
    """One row of the table `responses`, with its output items."""

    id: UUID
    project_id: str
    model: str
    status: ResponseStatus
    background: bool
    store: bool
    attempt: int
    priority: int = 0
    """Order of claiming, highest first; derived from `service_tier`."""
    end_user: int = 0
    """Digest of the end user, see `end_user_of`."""
    charged: float = 0.0
    """Tokens of earlier attempts that its flows have been charged for; read only when it is
    claimed."""
    cancel_requested: bool = False
    created_at: datetime
    parameters: dict[str, Any]
    """`GenerationParameters` in effect, without nulls; empty in the row of an unstored response."""
    metadata: dict[str, str] = field(default_factory=dict)
    content_key: bytes | None = field(default=None, repr=False)
    """Key of its content: of an unstored response in Redis, until that is delivered or has expired;
    of a stored one, which has its key as long as it exists, if content is encrypted at rest."""
    tool_secrets: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Headers and access tokens for MCP servers, by label, while it runs; read only when it is
    claimed. Those of an unstored response are with its content in Redis."""
    calls_begun: int = 0
    """Number of its MCP calls that earlier attempts may have made; read only when it is claimed."""
    reservation: Reservation | None = None
    """Tokens counted for it when it was accepted; None if its project has no such limits. Read only
    when it is claimed."""
    traceparent: str | None = None
    """Place of its request in a trace; read only when it is claimed."""
    previous_response_id: UUID | None = None
    conversation_id: UUID | None = None
    not_before: datetime | None = None
    """Time before which it is not claimed; None if it could be at once."""
    finished_at: datetime | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, str] | None = None
    output: list[dict[str, Any]] = field(default_factory=list)
    isolated: bool = False
    """True if it must run alone in its worker; set when `checkpoint` is."""
    checkpoint: Checkpoint | None = None
    """Checkpoint of the previous attempt; read only when a response is claimed or taken over."""

    @property
    def is_warm_up(self) -> bool:
        """True if its prompt is to be computed, and nothing to be generated."""
        return self.parameters.get("generate") is False

    @property
    def is_temporary(self) -> bool:
        """True if it is in the background and not stored: kept for a time after its end."""
        return self.background and not self.store

    @property
    def has_archive(self) -> bool:
        """True if all its events can be read after its end, in Postgres or for a time in Redis."""
        return self.store or self.background

    @property
    def log_fields(self) -> dict[str, object]:
        """Fields of log lines about this attempt."""
        fields: dict[str, object] = {"response_id": self.id.hex, "attempt": self.attempt}
        if self.traceparent is not None:
            fields["trace_id"] = trace_id_of(self.traceparent)
        return fields


def opening_resource(record: ResponseRecord) -> ResponseResource:
    """Return the object as it was when the response was accepted, whatever its status now."""
    initial = ResponseStatus.QUEUED if record.background else ResponseStatus.IN_PROGRESS
    return to_resource(_clear_ending(record, initial))


def running_resource(record: ResponseRecord) -> ResponseResource:
    """Return the object as it was when a worker began."""
    return to_resource(_clear_ending(record, ResponseStatus.IN_PROGRESS))


def _clear_ending(record: ResponseRecord, status: ResponseStatus) -> ResponseRecord:
    return replace(
        record,
        status=status,
        finished_at=None,
        usage=None,
        error=None,
        incomplete_details=None,
        output=[],
    )


def to_resource(record: ResponseRecord) -> ResponseResource:
    """Return the response object that clients see."""
    is_completed = record.status is ResponseStatus.COMPLETED and record.finished_at is not None
    previous = record.previous_response_id
    parameters = record.parameters
    return ResponseResource(
        id=response_wire_id(record.id),
        access_programs=parameters.get("access_programs") or None,
        created_at=_unix_seconds(record.created_at),
        completed_at=_unix_seconds(record.finished_at) if is_completed else None,
        status=record.status,
        background=record.background,
        conversation=serialise_conversation(record.conversation_id),
        error=record.error,
        frequency_penalty=parameters.get("frequency_penalty", 0.0),
        image=serialise_image(parameters.get("image")),
        incomplete_details=record.incomplete_details,
        instructions=parameters.get("instructions"),
        max_output_tokens=parameters.get("max_output_tokens"),
        max_tool_calls=parameters.get("max_tool_calls"),
        metadata=record.metadata,
        model=record.model,
        output=record.output,
        parallel_tool_calls=parameters.get("parallel_tool_calls", True),
        presence_penalty=parameters.get("presence_penalty", 0.0),
        previous_response_id=response_wire_id(previous) if previous else None,
        prompt_cache_key=parameters.get("prompt_cache_key"),
        prompt_cache_options=serialise_cache_options(parameters.get("prompt_cache_options")),
        prompt_cache_retention=parameters.get("prompt_cache_retention"),
        reasoning=serialise_reasoning(parameters.get("reasoning")),
        safety_identifier=parameters.get("safety_identifier"),
        service_tier=serialise_service_tier(parameters.get("service_tier")),
        store=record.store,
        temperature=parameters.get("temperature", 1.0),
        text=serialise_text(parameters.get("text") or {}),
        tool_choice=parameters.get("tool_choice", "auto"),
        tools=serialise_tools(parameters.get("tools") or []),
        top_logprobs=parameters.get("top_logprobs", 0),
        top_p=parameters.get("top_p", 1.0),
        truncation=parameters.get("truncation", "disabled"),
        user=parameters.get("user"),
        usage=Usage.model_validate(record.usage) if record.usage else None,
    )


def to_request(record: ResponseRecord, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the body that asks for a response anew, with its input items.

    Ids that were made here are left out: they are those of the earlier items. So are the options of
    its stream, which the new one may not have. Secrets of tools are not kept.
    """
    made = re.compile(rf"[a-z]+_{record.id.hex}_in[0-9]+")
    given = [
        {name: value for name, value in item.items() if name != "id" or not made.fullmatch(value)}
        for item in items
    ]
    previous = record.previous_response_id
    parameters = {k: value for k, value in record.parameters.items() if k != "stream_options"}
    return {
        **parameters,
        "model": record.model,
        "input": given,
        "background": record.background,
        "store": record.store,
        **({"metadata": record.metadata} if record.metadata else {}),
        **({"previous_response_id": response_wire_id(previous)} if previous else {}),
        **(
            {"conversation": conversation_wire_id(record.conversation_id)}
            if record.conversation_id
            else {}
        ),
    }


def _unix_seconds(time: datetime | None) -> int:
    assert time is not None
    return int(time.timestamp())
