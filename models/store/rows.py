"""Rows of `responses` turned into values."""

from typing import Any

from sqlalchemy import TextualSelect, column, text

from models.responses.checkpoint import Checkpoint
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus

COLUMNS = """
    r.id, r.project_id, r.model, r.status, r.background, r.store, r.attempt, r.priority,
    r.cancel_requested,
    r.created_at, r.parameters, r.metadata, r.previous_response_id, r.conversation_id,
    r.finished_at, r.usage, r.error, r.incomplete_details
"""

HELD_COLUMNS = COLUMNS + ", r.checkpoint, r.isolated"
"""What whoever holds a response is told beyond what its readers are."""

OUTPUT = """
    (SELECT coalesce(json_agg(i.body ORDER BY i.position), '[]') FROM items i
     WHERE i.project_id = r.project_id AND i.response_id = r.id AND i.direction = 'output')
    AS output
"""

# A parameter says while the statement is planned which partition it is; a column does not.
OUTPUT_OF_ID = OUTPUT.replace("r.id", ":id")

_NAMES = [each.strip().removeprefix("r.") for each in COLUMNS.split(",")]


def yielding_stored(sql: str, *more: str) -> TextualSelect:
    """A statement whose rows are `COLUMNS` and then the columns named in `more`.

    Told so, SQLAlchemy need not find out at every execution.
    """
    return text(sql).columns(*map(column, (*_NAMES, *more)))


def to_stored(row: Any) -> ResponseRecord:
    """A row selected with `COLUMNS`, and perhaps `OUTPUT`, as a value."""
    fields = dict(row._mapping)
    if fields.get("checkpoint") is not None:
        fields["checkpoint"] = Checkpoint.from_bytes(fields["checkpoint"])
    return ResponseRecord(**{**fields, "status": ResponseStatus(fields["status"])})
