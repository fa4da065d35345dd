"""Claiming, handing back and cancelling of responses, each one conditional UPDATE."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Protocol
from uuid import UUID

from sqlalchemy import TextualSelect, text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.store.content.codec import ContentCodec
from models.store.fairness.charges import CHARGE_FLOWS, CHARGED_BEFORE, cost_of
from models.store.fairness.eligible import ANY_ELIGIBLE, NEXT_OF_SOLE_FLOW
from models.store.fairness.next_response import ClaimStatements, NextResponse
from models.store.fairness.order import fair_order
from models.store.fairness.places import LIMITED_PROJECTS
from models.store.rows import (
    CLAIM_COLUMNS,
    COLUMNS,
    as_record,
    select_records,
    stored_checkpoint,
    to_record,
)


def _claim(found: str, expressions: str, *more: str) -> TextualSelect:
    """Return the statement that claims the row in `found`, one of the expressions of its `WITH`.

    A worker without a lease gets none. Sub-selects, not a join: Postgres may execute a join as a
    scan of all that is queued.
    """
    values = "".join(f", (SELECT {name} FROM {found})" for name in more)
    return select_records(f"""
        WITH {expressions}
        UPDATE responses r
        SET status = 'in_progress', attempt = r.attempt + 1, worker_id = :worker_id,
            started_at = coalesce(r.started_at, now())
        WHERE r.project_id = (SELECT project_id FROM {found})
          AND r.id = (SELECT id FROM {found})
          AND r.status = 'queued'
          AND EXISTS (SELECT FROM workers w WHERE w.id = :worker_id AND w.lease_until > now())
        RETURNING {CLAIM_COLUMNS}{values}
    """)


_NEXT = ClaimStatements(
    of_sole_flow=_claim("sole", f"sole AS MATERIALIZED ({NEXT_OF_SOLE_FLOW})"),
    in_order=_claim("fair", fair_order(is_claim=True), "has_new_flows"),
    unknown=_claim("unknown", f"unknown AS MATERIALIZED ({ANY_ELIGIBLE})"),
)

# Tokens so far are charged, too.
_HAND_BACK = text(f"""
    WITH {CHARGED_BEFORE}), back AS (
        UPDATE responses r
        SET status = 'queued', worker_id = NULL,
            checkpoint = coalesce(mine.checkpoint, r.checkpoint),
            charged = greatest(r.charged, mine.cost)
        FROM before
        JOIN unnest(CAST(:ids AS uuid[]), CAST(:checkpoints AS bytea[]), CAST(:costs AS float[]))
             AS mine (id, checkpoint, cost) ON mine.id = before.id
        WHERE r.project_id = before.project_id AND r.id = before.id
        RETURNING r.id, r.model, r.priority < 0 AS is_flex, r.project_id, r.end_user,
                  r.charged - before.charged AS tokens
    ), due AS (
        SELECT *, CAST(NULL AS float) AS whole FROM back WHERE tokens > 0
    ), {CHARGE_FLOWS}
    SELECT id FROM back
""")

_STANDS_BY = text("""
    SELECT r.id FROM responses r
    WHERE r.project_id IS NOT NULL AND r.status = 'queued' AND NOT r.deferred AND r.isolated
      AND :worker_id = (SELECT w.id FROM workers w
                        WHERE w.project_id IS NOT NULL AND w.model = :model
                          AND w.lease_until > now() ORDER BY w.id LIMIT 1)
    LIMIT 1
""")

_HAS_QUEUED = text(f"""
    WITH {LIMITED_PROJECTS}
    SELECT id FROM responses
    WHERE project_id IS NOT NULL AND model = :model AND status = 'queued' AND NOT deferred
      AND project_id NOT IN (SELECT project_id FROM limited WHERE num_free = 0)
    LIMIT 1
""")

_URGENT_PROJECTS = text("""
    SELECT p.project_id FROM unnest(CAST(:project_ids AS text[])) AS p (project_id) WHERE EXISTS (
        SELECT FROM responses q
        WHERE q.project_id = p.project_id AND q.model = :model AND q.status = 'queued'
          AND NOT q.deferred AND q.priority > 1)
""")

_REQUEST_CANCEL = select_records(f"""
    UPDATE responses r SET cancel_requested = true
    WHERE r.project_id = :project_id AND r.id = :id AND r.status IN ('queued', 'in_progress')
    RETURNING {COLUMNS}
""")


_TAKE_OVER = select_records(f"""
    UPDATE responses r SET attempt = r.attempt + 1, worker_id = NULL
    WHERE r.project_id = :project_id AND r.id = :id AND r.attempt = :attempt
      AND r.status IN ('queued', 'in_progress')
    RETURNING {CLAIM_COLUMNS}
""")


class Claim(Protocol):
    """Identifies one attempt of one response."""

    @property
    def id(self) -> UUID:
        """Id of the response."""

    @property
    def project_id(self) -> str:
        """Project that owns the response."""

    @property
    def attempt(self) -> int:
        """Number of the attempt, the fencing token of its writes."""


class Claims:
    """State transitions of responses, except the final one (`Finisher`)."""

    def __init__(self, database: Database, codec: ContentCodec) -> None:
        self._database = database
        self._codec = codec
        self._next = NextResponse(database, _NEXT)

    def claim(
        self,
        worker_id: UUID,
        model: str,
        *,
        is_idle: bool = True,
        stands_by: bool = False,
        only_stored: bool = False,
    ) -> ResponseRecord | None:
        """Claim the next queued response of a model by fair scheduling; None if there is none.

        An isolated response is claimed only if the worker `is_idle`; a worker that `stands_by`
        claims only isolated responses. `only_stored` skips responses whose content is in Redis.
        """
        values = {
            "only_stored": only_stored,
            "worker_id": worker_id,
            "model": model,
            "is_idle": is_idle,
            "stands_by": stands_by,
        }
        fields = self._next.claim(values)
        return as_record(fields, self._database.vault, self._codec) if fields else None

    def is_due_to_stand_by(self, worker_id: UUID, model: str) -> bool:
        """Return True if an isolated response is queued and this worker must become idle for it.

        Only the model's oldest worker with a lease does so; the others continue.
        """
        with self._database.upkeep() as connection:
            values = {"worker_id": worker_id, "model": model}
            return connection.execute(_STANDS_BY, values).first() is not None

    def has_queued(self, model: str) -> bool:
        """Return True if a response of a model is queued, of a project that may run another."""
        with self._database.upkeep() as connection:
            return connection.execute(_HAS_QUEUED, {"model": model}).first() is not None

    def urgent_projects(self, model: str, project_ids: Iterable[str]) -> set[str]:
        """Return those projects of which a `priority` response is queued for a model."""
        values = {"model": model, "project_ids": list(project_ids)}
        with self._database.upkeep() as connection:
            return set(connection.execute(_URGENT_PROJECTS, values).scalars())

    def hand_back(self, claims: Iterable[Claim]) -> set[UUID]:
        """Put running responses back into the queue; return the ids whose attempt was current.

        The checkpoint of each is written too, if it has one and is not `store: false`; its usage so
        far, if it has one, is charged to its flows.
        """
        by_project = groupby(sorted(claims, key=_project_of), key=_project_of)
        return {
            handed_back
            for project_id, rows in by_project
            for handed_back in self._hand_back(project_id, list(rows))
        }

    def _hand_back(self, project_id: str, rows: Sequence[Claim]) -> Iterable[UUID]:
        values = {
            "project_id": project_id,
            "ids": [row.id for row in rows],
            "attempts": [row.attempt for row in rows],
            "checkpoints": [_checkpoint_of(row) for row in rows],
            "costs": [cost_of(row.usage) if isinstance(row, ResponseRecord) else 0 for row in rows],
        }
        with self._database.statement(project_id) as connection:
            return connection.execute(_HAND_BACK, values).scalars().all()

    def request_cancel(self, project_id: str, response_id: UUID) -> ResponseRecord | None:
        """Request that an unfinished response be cancelled; None if it has ended or is unknown."""
        with self._database.statement(project_id) as connection:
            values = {"project_id": project_id, "id": response_id}
            row = connection.execute(_REQUEST_CANCEL, values).first()
        return to_record(row, self._database.vault, self._codec) if row else None

    def take_over(self, record: ResponseRecord) -> ResponseRecord | None:
        """Fence off the current attempt, to end the response in its place; None if it is stale."""
        with self._database.statement(record.project_id) as connection:
            values = {"project_id": record.project_id, "id": record.id, "attempt": record.attempt}
            row = connection.execute(_TAKE_OVER, values).first()
        return to_record(row, self._database.vault, self._codec) if row else None


_project_of = attrgetter("project_id")


def _checkpoint_of(row: Claim) -> bytes | None:
    if not isinstance(row, ResponseRecord) or not row.store or row.checkpoint is None:
        return None
    return stored_checkpoint(row)
