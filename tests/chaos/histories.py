"""Hand-written histories of one streamed response, for tests to corrupt."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from models.ids import response_wire_id
from tests.chaos.answers import script
from tests.chaos.audit import Change, Kept, Row
from tests.chaos.history import History
from tests.chaos.journal import DELTA, Connection, Received, Record, Seen
from tests.chaos.plan import Job

ID = response_wire_id(UUID(int=1))
WORKER = "antiphon worker 10"
OTHER_WORKER = "antiphon worker 20"
API = "antiphon api 30"
NUM_TOKENS = 3


def event(number: int, kind: str, **fields: Any) -> Received:
    """Return one event, received at second `number`."""
    data = {"type": kind, "sequence_number": number, **fields}
    return Received(float(number), kind, orjson.dumps(data))


def events(status: str = "incomplete") -> list[Received]:
    """Return the complete stream of a response of three tokens."""
    texts = [script(number + 1)[len(script(number)) :] for number in range(NUM_TOKENS)]
    deltas = [event(number + 1, DELTA, delta=text) for number, text in enumerate(texts)]
    snapshot = {"status": status, "output": [{"content": [{"text": script(NUM_TOKENS)}]}]}
    opening = event(0, "response.created", response={"id": ID})
    return [opening, *deltas, event(NUM_TOKENS + 1, f"response.{status}", response=snapshot)]


def record(**changes: Any) -> Record:
    """Return the record of a client that streamed the response and then read it."""
    fields: dict[str, Any] = {
        "job": Job(number=7, max_tokens=NUM_TOKENS, stream=True),
        "response_id": ID,
        "answered_at": 0.0,
        "connections": [Connection(0, 0.0, events())],
        "seen": [Seen(9.0, "incomplete", script(NUM_TOKENS), "get")],
    }
    return Record(**{**fields, **changes})


def row(**changes: Any) -> Row:
    """Return the row of the response."""
    fields: dict[str, Any] = {
        "response_id": ID,
        "status": "incomplete",
        "attempt": 1,
        "num_crashes": 0,
        "background": True,
        "end_user": 0,
        "store": True,
        "usage": {"input_tokens": len("job 7"), "output_tokens": NUM_TOKENS},
        "metadata": {"job": "7", "post": "0"},
        "previous_id": None,
        "started_at": 1.0,
        "text": script(NUM_TOKENS),
        "events": [received.data for received in events()],
    }
    return Row(**{**fields, **changes})


def change(old: str | None, new: str | None, **changes: Any) -> Change:
    """Return one transition of the response, made by the worker that holds it."""
    is_claim = new == "in_progress"
    fields: dict[str, Any] = {
        "at": 0.0,
        "response_id": ID,
        "old_status": old,
        "new_status": new,
        "old_attempt": None if old is None else int(not is_claim),
        "new_attempt": 0 if old is None else 1,
        "writer": WORKER,
        "owner": WORKER if old == "in_progress" else None,
    }
    return Change(**{**fields, **changes})


def life() -> list[Change]:
    """Return all transitions of the response: created, claimed, finished."""
    return [
        change(None, "queued", writer=API),
        change("queued", "in_progress"),
        change("in_progress", "incomplete"),
    ]


def history(
    records: list[Record] | None = None,
    rows: list[Row] | None = None,
    changes: list[Change] | None = None,
    **kept: Any,
) -> History:
    """Return a history of this one response, unless other records are given."""
    stored = [row()] if rows is None else rows
    return History(
        journal=[record()] if records is None else records,
        kept=Kept(
            rows={known.response_id: known for known in stored},
            changes=life() if changes is None else changes,
            **kept,
        ),
    )


def without_event(number: int) -> list[Received]:
    """Return the stream without one event."""
    return [received for received in events() if received.number != number]


def later(found: Row, number: int, **changes: Any) -> Row:
    """Return a copy of a row for another response, created later."""
    return replace(found, response_id=response_wire_id(UUID(int=number)), **changes)
