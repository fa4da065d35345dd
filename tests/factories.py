"""Factories of valid records for tests; every field can be overridden."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from models.ids import id_floor, input_item_id, new_id
from models.profile.weights import SCRIPTED_MODEL
from models.recording.recorder import Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT


def stored_response(**changes: Any) -> ResponseRecord:
    """Return a queued background response."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "model": SCRIPTED_MODEL,
        "status": ResponseStatus.QUEUED,
        "background": True,
        "store": True,
        "attempt": 0,
        "created_at": datetime.now(UTC).replace(microsecond=0),
        "parameters": {"temperature": 1.0, "top_p": 1.0},
    }
    return ResponseRecord(**fields | changes)


def id_made_before(seconds: float) -> UUID:
    """Return an id that was made so long ago."""
    floor = id_floor(datetime.now(UTC) - timedelta(seconds=seconds))
    return UUID(int=floor.int | new_id().int & ((1 << 80) - 1))


def input_message(response_id: UUID, text: str = "Hello.", position: int = 0) -> dict[str, Any]:
    """Return a user's message in its stored form."""
    return {
        "type": "message",
        "id": input_item_id("message", response_id, position),
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }


def output_message(response_id: UUID, text: str = "Hello back.") -> dict[str, Any]:
    """Return an assistant's message in its stored form."""
    return {
        "type": "message",
        "id": f"msg_{response_id.hex}_0",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
    }


def say(recorder: Recorder, text: str, token_ids: Sequence[int]) -> None:
    """Record more text of a message, and the tokens it was decoded from."""
    writer = recorder.writer()
    writer.add_tokens(token_ids)
    writer.add_text(text)


def worker_identity(**changes: Any) -> WorkerIdentity:
    """Return the identity of a worker of the scripted model."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "name": "test",
        "model": SCRIPTED_MODEL,
        "host": "localhost",
        "pid": 1,
    }
    return WorkerIdentity(**fields | changes)


def usage_of(
    *, input_tokens: int = 0, cached_tokens: int = 0, output_tokens: int = 0
) -> dict[str, Any]:
    """Return a usage in its stored form."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }
