"""Hand-written histories: one streamed response, seen and kept, that a test then spoils."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from models.ids import response_wire_id
from tests.chaos.audit import Change, Kept, Row
from tests.chaos.history import History
from tests.chaos.journal import DELTA, Connection, Received, Record, Seen
from tests.chaos.plan import Job
from tests.chaos.streams import script

ID = response_wire_id(UUID(int=1))
WORKER = "antiphon worker 10"
OTHER_WORKER = "antiphon worker 20"
API = "antiphon api 30"
NUM_TOKENS = 3


def event(number: int, kind: str, **fields: Any) -> Received:
    """One event, received at second `number`."""
    data = {"type": kind, "sequence_number": number, **fields}
    return Received(float(number), kind, orjson.dumps(data))


def events(status: str = "incomplete") -> list[Received]:
    """A whole stream of three tokens."""
    texts = [script(number + 1)[len(script(number)) :] for number in range(NUM_TOKENS)]
    deltas = [event(number + 1, DELTA, delta=text) for number, text in enumerate(texts)]
    snapshot = {"status": status, "output": [{"content": [{"text": script(NUM_TOKENS)}]}]}
    opening = event(0, "response.created", response={"id": ID})
    return [opening, *deltas, event(NUM_TOKENS + 1, f"response.{status}", response=snapshot)]


def record(**changes: Any) -> Record:
    """What a client saw that streamed it and then read it."""
    fields: dict[str, Any] = {
        "job": Job(number=7, max_tokens=NUM_TOKENS, stream=True),
        "response_id": ID,
        "answered_at": 0.0,
        "connections": [Connection(0, 0.0, events())],
        "seen": [Seen(9.0, "incomplete", script(NUM_TOKENS), "get")],
    }
    return Record(**{**fields, **changes})


def row(**changes: Any) -> Row:
    """How it is stored."""
    fields: dict[str, Any] = {
        "response_id": ID,
        "status": "incomplete",
        "attempt": 1,
        "num_crashes": 0,
        "background": True,
        "store": True,
        "usage": {"input_tokens": len("job 7"), "output_tokens": NUM_TOKENS},
        "metadata": {"job": "7", "post": "0"},
        "previous_id": None,
        "started_at": 1.0,
        "text": script(NUM_TOKENS),
        "events": [each.data for each in events()],
    }
    return Row(**{**fields, **changes})


def change(old: str | None, new: str | None, **changes: Any) -> Change:
    """One move of it, by the worker that holds it."""
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
    """Its moves: accepted, claimed, ended."""
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
    """A run in which nothing else happened."""
    stored = [row()] if rows is None else rows
    return History(
        journal=[record()] if records is None else records,
        kept=Kept(
            rows={each.response_id: each for each in stored},
            changes=life() if changes is None else changes,
            **kept,
        ),
    )


def without_event(number: int) -> list[Received]:
    """A stream that lacks one event."""
    return [each for each in events() if each.number != number]


def later(found: Row, number: int, **changes: Any) -> Row:
    """Another row, accepted after the first."""
    return replace(found, response_id=response_wire_id(UUID(int=number)), **changes)
