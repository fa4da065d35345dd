"""Final transition of a response: everything is written atomically and exactly once."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.responses.status import CONTINUABLE, ResponseStatus, sources_of
from models.store.content.codec import ERROR, EVENTS, ContentCodec, StoredItem
from models.store.content.row_cipher import RowCipher, as_json
from models.store.fairness.charges import CHARGE_FLOWS, cost_of
from models.tables.webhooks.delivery import GIVE_UP_H

# Status, output, usage, charges, events and webhook deliveries in one transaction, or nothing if
# the attempt is stale. With a conversation, the turn is also appended to it and its lock is
# released. Postgres executes the expressions that the statement does not read last to first: the
# charges, whose rows other ends wait for, are last.
_FINISH = """
    WITH finished AS (
        UPDATE responses
        SET status = :status, usage = :usage, error = :error, finished_at = :finished_at,
            incomplete_details = :incomplete_details, checkpoint = NULL,
            tool_secrets = NULL
        WHERE project_id = :project_id AND id = :id AND attempt = :attempt
          AND status = ANY(:sources)
        RETURNING id, project_id, store, background, conversation_id,
                  model, priority < 0 AS is_flex, end_user, charged
    ), due AS (
        SELECT model, is_flex, project_id, end_user, :cost - charged AS tokens, :cost AS whole
        FROM finished WHERE :cost > charged
    ), {charges}, archived AS (
        INSERT INTO event_archives (response_id, project_id, num_events, data)
        SELECT id, project_id, :num_events, :data FROM finished WHERE store
    ), written AS (
        INSERT INTO items (response_id, direction, position, project_id, body)
        SELECT finished.id, 'output', item.position - 1, finished.project_id, item.body
        FROM finished, json_array_elements(CAST(:output AS json))
            WITH ORDINALITY AS item (body, position)
        WHERE finished.store
    ), extended AS (
        UPDATE conversations c
        SET running_id = NULL, next_position = c.next_position
            + json_array_length(CAST(:output AS json)) + (
                SELECT count(*) FROM items i
                WHERE i.project_id = finished.project_id
                  AND i.response_id = finished.id AND i.direction = 'input')
        FROM finished
        WHERE c.project_id = finished.project_id AND c.id = finished.conversation_id
          AND c.running_id = finished.id
        RETURNING c.id, c.project_id, c.next_position, finished.id AS response_id
    ), appended AS (
        INSERT INTO conversation_items (conversation_id, position, project_id, item_id, body,
                                        made_here)
        SELECT turn.id, turn.next_position - count(*) OVER () - 1
               + row_number() OVER (ORDER BY turn.direction, turn.position),
               turn.project_id, turn.body ->> 'id', turn.body,
               position(replace(CAST(turn.response_id AS text), '-', '')
                        IN turn.body ->> 'id') > 0
        FROM ({turn}) turn
        WHERE CAST(:is_continuable AS bool)
        ON CONFLICT DO NOTHING
    ), told AS (
        INSERT INTO webhook_deliveries (response_id, endpoint_id, project_id, event_type,
                                        occurred_at, next_attempt_at, give_up_at)
        SELECT finished.id, e.id, finished.project_id, :event_type,
               :finished_at, now(), now() + :give_up_h * interval '1 h'
        FROM finished JOIN webhook_endpoints e ON e.project_id = finished.project_id
        WHERE finished.background AND e.disabled_at IS NULL
          AND :event_type = ANY(e.event_types)
    )
    SELECT id FROM finished
"""

_FINISH_IN_CLEAR = text(
    _FINISH.format(
        charges=CHARGE_FLOWS,
        turn="""
            SELECT extended.*, i.direction, i.position, i.body
            FROM extended JOIN items i ON i.project_id = extended.project_id
             AND i.response_id = extended.response_id AND i.direction = 'input'
            UNION ALL
            SELECT extended.*, 'output', item.position, item.body
            FROM extended, json_array_elements(CAST(:output AS json))
                WITH ORDINALITY AS item (body, position)
        """,
    )
)

# What is encrypted for a response is not what is encrypted for its conversation.
_FINISH_WITH_TURN = text(
    _FINISH.format(
        charges=CHARGE_FLOWS,
        turn="""
            SELECT extended.*, '' AS direction, item.position, item.body
            FROM extended, json_array_elements(CAST(:turn AS json))
                WITH ORDINALITY AS item (body, position)
        """,
    )
)

_INPUT = text("""
    SELECT body, response_id AS owner_id, 'input ' || position AS place FROM items
    WHERE project_id = :project_id AND response_id = :id AND direction = 'input' ORDER BY position
""")

# A process that ends a response in a worker's place increments the attempt first.
_HAS_ENDED = text("""
    SELECT id FROM responses
    WHERE project_id = :project_id AND id = :id AND attempt = :attempt AND finished_at IS NOT NULL
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalRecord:
    """Result of a response, written when it ends."""

    status: ResponseStatus
    finished_at: datetime
    output: Sequence[dict[str, Any]] = ()
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, str] | None = None
    events: Sequence[bytes] = ()
    """JSON of every event, including the terminal one, from sequence number 0."""


class Finisher:
    """Final state transition of responses."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec

    def finish(self, claimed: ResponseRecord, ending: TerminalRecord) -> bool:
        """End a response; False if the attempt is stale or the response has already ended."""
        values: dict[str, Any] = {
            "project_id": claimed.project_id,
            "id": claimed.id,
            "attempt": claimed.attempt,
            "sources": [str(status) for status in sources_of(ending.status)],
            "status": ending.status,
            "event_type": f"response.{ending.status}",
            "give_up_h": GIVE_UP_H,
            "usage": _json_or_null(ending.usage),
            "cost": cost_of(ending.usage),
            "error": _json_or_null(self._encode_error(claimed, ending)),
            "incomplete_details": _json_or_null(ending.incomplete_details),
            "finished_at": ending.finished_at,
            "output": as_json(self._codec.items_of_response(claimed, "output", ending.output)),
            "is_continuable": ending.status in CONTINUABLE,
            "num_events": len(ending.events),
            "data": RowCipher.of(claimed).write_bytes(
                EVENTS, zlib.compress(b"\n".join(ending.events), level=1)
            ),
        }
        statement = _FINISH_IN_CLEAR
        if claimed.conversation_id is not None and self._codec.encrypts:
            statement = _FINISH_WITH_TURN
            values["turn"] = self._encode_turn(claimed, claimed.conversation_id, ending)
        with self._database.statement(claimed.project_id) as connection:
            return connection.execute(statement, values).first() is not None

    def has_ended(self, claimed: ResponseRecord) -> bool:
        """Return True if this attempt has ended its response."""
        values = {"project_id": claimed.project_id, "id": claimed.id, "attempt": claimed.attempt}
        with self._database.statement(claimed.project_id) as connection:
            return connection.execute(_HAS_ENDED, values).first() is not None

    def _encode_error(
        self, claimed: ResponseRecord, ending: TerminalRecord
    ) -> dict[str, Any] | None:
        if ending.error is None:
            return None
        return self._codec.writer(claimed).write_json(ERROR, ending.error)

    def _encode_turn(
        self, claimed: ResponseRecord, conversation_id: UUID, ending: TerminalRecord
    ) -> str:
        """Return the items that the conversation gets, in the form to store there."""
        project_id = claimed.project_id
        with self._database.statement(project_id) as connection:
            rows = connection.execute(_INPUT, {"project_id": project_id, "id": claimed.id}).all()
        said = self._codec.read_items(project_id, (StoredItem(*row) for row in rows))
        turn = [*said, *ending.output]
        return as_json(self._codec.items_of_conversation(project_id, conversation_id, turn))


def _json_or_null(value: dict[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
