"""Webhook deliveries: take for sending, record the result, list, replay."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database.connection import Database
from models.store.webhooks.endpoints import decrypt_secrets
from models.tables.webhooks.delivery import GIVE_UP_H

LEASE_S = 20.0
"""Seconds in which the result of a taken delivery must be recorded, or it is taken again."""
BATCH = 8
"""Maximum number of deliveries to one endpoint at a time."""
MAX_ENDPOINTS_AT_ONCE = 32
PROBE_S = 45
"""Maximum delay in seconds before a failing endpoint is probed again.

The delay is 2 s at first, then as long as the endpoint has been failing.
"""
_OUTAGE_S = 20
"""Seconds of an outage after which its failed deliveries are retried as soon as it ends."""

# A healthy endpoint gets all that is due. A failing one gets one delivery at a time, the one with
# the earliest time, even if it is not due yet, so that a recovery is detected soon and a delivery
# that is never accepted blocks no other.
_TAKE = text(f"""
    WITH due AS (
        SELECT d.response_id, d.endpoint_id
        FROM webhook_endpoints e CROSS JOIN LATERAL (
            SELECT each.response_id, each.endpoint_id FROM webhook_deliveries each
            WHERE each.endpoint_id = e.id AND each.status = 'pending'
              AND each.next_attempt_at <=
                  CASE WHEN e.next_probe_at IS NULL THEN now() ELSE 'infinity' END
            ORDER BY each.next_attempt_at
            LIMIT CASE WHEN e.next_probe_at IS NULL THEN {BATCH} ELSE 1 END
            FOR UPDATE SKIP LOCKED
        ) d
        WHERE e.project_id IS NOT NULL AND e.disabled_at IS NULL
          AND e.id <> ALL(CAST(:busy AS uuid[]))
          AND (e.next_probe_at IS NULL OR e.next_probe_at <= now())
        LIMIT {BATCH * MAX_ENDPOINTS_AT_ONCE}
    ), probed AS (
        UPDATE webhook_endpoints e SET next_probe_at = now() + {LEASE_S} * interval '1 s'
        FROM (SELECT DISTINCT endpoint_id FROM due) mine
        WHERE e.id = mine.endpoint_id AND e.project_id IS NOT NULL AND e.next_probe_at IS NOT NULL
    )
    UPDATE webhook_deliveries d
    SET num_attempts = d.num_attempts + 1, last_attempt_at = now(),
        next_attempt_at = now() + {LEASE_S} * interval '1 s'
    FROM due JOIN webhook_endpoints e ON e.id = due.endpoint_id AND e.project_id IS NOT NULL
    WHERE d.response_id = due.response_id AND d.endpoint_id = due.endpoint_id
      AND d.project_id = e.project_id AND d.status = 'pending'
    RETURNING d.response_id, d.endpoint_id, d.project_id, d.event_type, d.occurred_at,
              d.num_attempts, e.url, e.signing_secret,
              CASE WHEN e.old_secret_until > now() THEN e.old_secret END AS old_secret,
              (SELECT r.traceparent FROM responses r
               WHERE r.project_id = d.project_id AND r.id = d.response_id) AS traceparent
""")

_MINE = """
    d.project_id = :project_id AND d.response_id = :response_id
    AND d.endpoint_id = :endpoint_id AND d.num_attempts = :num_attempts AND d.status = 'pending'
"""

_DELIVERED = text(f"""
    WITH settled AS (
        UPDATE webhook_deliveries d
        SET status = 'delivered', last_status_code = :status_code, last_error = NULL
        WHERE {_MINE}
    ), failing AS (
        SELECT id, failing_since FROM webhook_endpoints
        WHERE project_id = :project_id AND id = :endpoint_id AND failing_since IS NOT NULL
        FOR NO KEY UPDATE
    ), recovered AS (
        UPDATE webhook_endpoints e
        SET failing_since = NULL, next_probe_at = NULL
        FROM failing WHERE e.project_id = :project_id AND e.id = failing.id
        RETURNING e.id, failing.failing_since
    )
    UPDATE webhook_deliveries d SET next_attempt_at = now() + random() * interval '2 s'
    FROM recovered
    WHERE recovered.failing_since < now() - {_OUTAGE_S} * interval '1 s'
      AND d.project_id = :project_id AND d.endpoint_id = recovered.id AND d.status = 'pending'
      AND d.response_id <> :response_id
      AND d.last_attempt_at BETWEEN recovered.failing_since AND now() - interval '2 s'
""")

_FAILED = text(f"""
    WITH settled AS (
        UPDATE webhook_deliveries d
        SET status = CASE WHEN d.give_up_at <= now() THEN 'dead' ELSE 'pending' END,
            next_attempt_at = now() + :delay_s * interval '1 s',
            last_status_code = :status_code, last_error = :error
        WHERE {_MINE}
        RETURNING d.endpoint_id
    )
    UPDATE webhook_endpoints e
    SET failing_since = coalesce(e.failing_since, now()),
        next_probe_at = now() + (0.75 + 0.25 * random()) * greatest(
            interval '2 s', least(interval '{PROBE_S} s', now() - e.failing_since))
    FROM settled WHERE e.project_id = :project_id AND e.id = settled.endpoint_id
""")

_GONE = text("""
    WITH disabled AS (
        UPDATE webhook_endpoints SET disabled_at = coalesce(disabled_at, now()), updated_at = now()
        WHERE project_id = :project_id AND id = :endpoint_id
        RETURNING id
    )
    UPDATE webhook_deliveries d
    SET status = 'dead', last_error = :error,
        last_status_code = CASE WHEN d.response_id = :response_id THEN CAST(:status_code AS int)
                                ELSE d.last_status_code END
    FROM disabled
    WHERE d.project_id = :project_id AND d.endpoint_id = disabled.id AND d.status = 'pending'
""")

_GIVE_UP = text("""
    UPDATE webhook_deliveries
    SET status = 'dead', last_error = coalesce(last_error, 'its time was up before it was tried')
    WHERE project_id IS NOT NULL AND status = 'pending' AND give_up_at <= now()
    RETURNING response_id
""")

_FORGET_ORPHANS = text("""
    DELETE FROM webhook_deliveries d
    WHERE d.project_id IS NOT NULL AND d.status = 'pending'
      AND NOT EXISTS (SELECT FROM webhook_endpoints e WHERE e.id = d.endpoint_id)
""")

_LIST = text("""
    SELECT response_id, endpoint_id, event_type, status, num_attempts, last_attempt_at,
           last_status_code, last_error, next_attempt_at
    FROM webhook_deliveries
    WHERE project_id = :project_id AND endpoint_id = :endpoint_id
      AND (CAST(:status AS text) IS NULL OR status = :status)
      AND (CAST(:after AS uuid) IS NULL OR response_id < :after)
    ORDER BY response_id DESC LIMIT :limit
""")

_REPLAY = text(f"""
    UPDATE webhook_deliveries
    SET status = 'pending', num_attempts = 0, next_attempt_at = now(),
        give_up_at = now() + interval '{GIVE_UP_H} h'
    WHERE project_id = :project_id AND endpoint_id = :endpoint_id AND status = 'dead'
      AND (CAST(:response_ids AS uuid[]) IS NULL OR response_id = ANY(:response_ids))
    RETURNING response_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDelivery:
    """Delivery to be sent now, with its endpoint's URL and signing secrets."""

    response_id: UUID
    endpoint_id: UUID
    project_id: str
    event_type: str
    occurred_at: datetime
    num_attempts: int
    """Number of attempts, including this one; the fencing token of its result."""
    url: str
    signing_secret: str
    old_secret: str | None
    traceparent: str | None = None
    """Place of the response's request in a trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """State of a delivery and the result of its last attempt."""

    response_id: UUID
    endpoint_id: UUID
    event_type: str
    status: str
    num_attempts: int
    last_attempt_at: datetime | None
    last_status_code: int | None
    last_error: str | None
    next_attempt_at: datetime


class Deliveries:
    """Data access of the webhook outbox, from which any number of processes may send."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, *, busy: Iterable[UUID] = ()) -> list[TakenDelivery]:
        """Take the deliveries that are due, except for the endpoints in `busy`."""
        with self._database.upkeep() as connection:
            rows = connection.execute(_TAKE, {"busy": list(busy)})
            vault = self._database.vault
            return [
                TakenDelivery(**decrypt_secrets(vault, row.endpoint_id, dict(row._mapping)))
                for row in rows
            ]

    def mark_delivered(self, taken: TakenDelivery, status_code: int) -> None:
        """Record that the endpoint accepted a delivery; if it was failing, others become due."""
        self._record_result(_DELIVERED, taken, status_code=status_code)

    def mark_failed(
        self, taken: TakenDelivery, *, status_code: int | None, error: str, delay_s: float
    ) -> None:
        """Record a failed delivery; retry it after `delay_s` seconds, or give it up if expired."""
        self._record_result(_FAILED, taken, status_code=status_code, error=error, delay_s=delay_s)

    def mark_gone(self, taken: TakenDelivery, *, status_code: int, error: str) -> None:
        """Disable an endpoint that answered 410 and give up its pending deliveries."""
        self._record_result(_GONE, taken, status_code=status_code, error=error)

    def give_up(self) -> int:
        """Give up deliveries that have been pending for too long; return their number."""
        with self._database.upkeep() as connection:
            connection.execute(_FORGET_ORPHANS)
            return len(connection.execute(_GIVE_UP).all())

    def list_deliveries(
        self,
        project_id: str,
        endpoint_id: UUID,
        *,
        status: str | None,
        after: UUID | None,
        limit: int,
    ) -> Sequence[DeliveryRecord]:
        """Return the deliveries of one endpoint, newest response first."""
        values = {
            "project_id": project_id,
            "endpoint_id": endpoint_id,
            "status": status,
            "after": after,
            "limit": limit,
        }
        with self._database.search(project_id) as connection:
            return [DeliveryRecord(**row._mapping) for row in connection.execute(_LIST, values)]

    def replay(
        self, project_id: str, endpoint_id: UUID, response_ids: Sequence[UUID] | None
    ) -> int:
        """Make dead deliveries pending again; return their number.

        If `response_ids` is None, all dead deliveries of the endpoint are replayed.
        """
        values: dict[str, Any] = {
            "project_id": project_id,
            "endpoint_id": endpoint_id,
            "response_ids": list(response_ids) if response_ids is not None else None,
        }
        with self._database.statement(project_id) as connection:
            return len(connection.execute(_REPLAY, values).all())

    def _record_result(self, statement: Any, taken: TakenDelivery, **result: Any) -> None:
        values = {
            "project_id": taken.project_id,
            "response_id": taken.response_id,
            "endpoint_id": taken.endpoint_id,
            "num_attempts": taken.num_attempts,
            **result,
        }
        with self._database.statement(taken.project_id) as connection:
            connection.execute(statement, values)
