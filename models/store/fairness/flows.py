"""Upkeep of flows: idle ones keep up with those that have responses queued, and are deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from models.database.connection import Database
from models.responses.record import ResponseRecord
from models.store.fairness.charges import CHARGE_FLOWS, CHARGED_BEFORE, cost_of
from models.store.fairness.order import fair_order, users_of_project

KEPT_S = 5
"""Seconds for which the row of an idle flow is kept: a response that is being created counts on
it, if it is fresh (`models.store.fairness.charges.FRESH_S`)."""

MAX_RELEASED = 1000
"""Deferred responses that one statement releases at most."""


def _refresh_level(level: str, table: str, key: str, group: str) -> str:
    """Return expressions of a `WITH` that refresh the flows of a table, grouped by parents."""
    return f"""
    {level}_least AS (
        SELECT {group}, coalesce(min(virtual_start + service), 0) AS least
        FROM {table} WHERE project_id IS NOT NULL GROUP BY {group}
    ), {level}_state AS (
        SELECT {key}, coalesce(f.virtual_start, least) + f.service AS virtual_time,
               f.virtual_start IS NULL AS is_new,
               f.seen_at < now() - interval '{KEPT_S} s' AS is_old,
               q.project_id IS NOT NULL AS is_queued, r.project_id IS NOT NULL AS is_running
        FROM {table} f JOIN {level}_least USING ({group})
        LEFT JOIN (SELECT DISTINCT {key} FROM queued) q USING ({key})
        LEFT JOIN (SELECT DISTINCT {key} FROM running) r USING ({key})
        WHERE project_id IS NOT NULL
    ), {level}_now AS (
        SELECT {group}, coalesce(min(virtual_time) FILTER (WHERE is_queued),
                                 max(virtual_time)) AS now
        FROM {level}_state GROUP BY {group}
    ), {level}_due AS (
        SELECT {key}, CASE WHEN is_queued THEN virtual_time
                           ELSE greatest(virtual_time, now) END AS virtual_time,
               NOT is_queued AND NOT is_running AND is_old AND virtual_time <= now AS is_idle
        FROM {level}_state JOIN {level}_now USING ({group})
        WHERE is_new OR (NOT is_queued AND (virtual_time < now OR (
                             virtual_time = now AND is_old AND NOT is_running)))
    ), {level}_locked AS MATERIALIZED (
        SELECT {key} FROM {table} f
        WHERE ({key}) IN (SELECT {key} FROM {level}_due)
        FOR UPDATE SKIP LOCKED
    ), {level}_deleted AS (
        DELETE FROM {table} f USING {level}_due due JOIN {level}_locked USING ({key})
        WHERE {_equal("f", "due", key)} AND due.is_idle
          AND f.seen_at < now() - interval '{KEPT_S} s'
    ), {level}_moved AS (
        UPDATE {table} f
        SET virtual_start = due.virtual_time - f.service
        FROM {level}_due due JOIN {level}_locked USING ({key})
        WHERE {_equal("f", "due", key)} AND NOT due.is_idle
    )
    """


def _equal(left: str, right: str, key: str) -> str:
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in key.split(", "))


_PROJECT = "model, is_flex, project_id"
_USER = f"{_PROJECT}, end_user"

_KEYS_OF = """
    SELECT model, priority < 0 AS is_flex, project_id, end_user FROM responses
    WHERE project_id IS NOT NULL AND {condition}
    GROUP BY model, priority < 0, project_id, end_user
"""

_IS_WAITING = "status = 'queued' AND NOT deferred"
_QUEUED = f"queued AS MATERIALIZED ({_KEYS_OF.format(condition=_IS_WAITING)})"

_REFRESH = text(f"""
    WITH {_QUEUED}, running AS MATERIALIZED (
        {_KEYS_OF.format(condition="status = 'in_progress'")}
    ),
    {_refresh_level("project", "project_flows", _PROJECT, "model, is_flex")},
    {_refresh_level("user", "user_flows", _USER, _PROJECT)}
    SELECT EXISTS (
        SELECT FROM queued LEFT JOIN project_state p USING ({_PROJECT})
        LEFT JOIN user_state u USING ({_USER}) WHERE p.is_old IS NULL OR u.is_old IS NULL)
""")

# Flows of rows that the previous release has written.
_ADD = text(f"""
    WITH {_QUEUED}, project_flow AS (
        INSERT INTO project_flows ({_PROJECT}) SELECT DISTINCT {_PROJECT} FROM queued
        ORDER BY {_PROJECT} ON CONFLICT DO NOTHING RETURNING project_id
    )
    INSERT INTO user_flows ({_USER}) SELECT {_USER} FROM queued
    WHERE (SELECT count(*) FROM project_flow) >= 0
    ORDER BY {_USER} ON CONFLICT DO NOTHING
""")

# What is locked is released the next time, unless it has been cancelled. Flows are entered in
# order, as others do, so that none waits for another in a circle.
_RELEASE = text(f"""
    WITH due AS (
        SELECT r.project_id, r.id FROM responses r
        WHERE r.project_id IS NOT NULL AND r.status = 'queued' AND r.deferred
          AND r.not_before <= now()
        ORDER BY r.not_before LIMIT {MAX_RELEASED} FOR UPDATE SKIP LOCKED
    ), released AS (
        UPDATE responses r SET deferred = false FROM due
        WHERE r.project_id = due.project_id AND r.id = due.id AND r.status = 'queued'
        RETURNING r.model, r.priority < 0 AS is_flex, r.project_id, r.end_user
    ), project_flow AS (
        INSERT INTO project_flows ({_PROJECT}) SELECT DISTINCT {_PROJECT} FROM released
        ORDER BY {_PROJECT} ON CONFLICT ({_PROJECT}) DO UPDATE SET seen_at = now()
        RETURNING project_id
    ), user_flow AS (
        INSERT INTO user_flows ({_USER}) SELECT DISTINCT {_USER} FROM released
        WHERE (SELECT count(*) FROM project_flow) >= 0
        ORDER BY {_USER} ON CONFLICT ({_USER}) DO UPDATE SET seen_at = now()
    )
    SELECT count(*) FROM released
""")

# Rows that are locked will be charged the next time.
_CHARGE = text(f"""
    WITH {CHARGED_BEFORE} SKIP LOCKED), charged AS (
        UPDATE responses r SET charged = mine.cost
        FROM before JOIN unnest(CAST(:ids AS uuid[]), CAST(:costs AS float[])) AS mine (id, cost)
          ON mine.id = before.id
        WHERE r.project_id = before.project_id AND r.id = before.id AND mine.cost > before.charged
        RETURNING r.model, r.priority < 0 AS is_flex, r.project_id, r.end_user,
                  r.charged - before.charged AS tokens
    ), due AS (
        SELECT *, CAST(NULL AS float) AS whole FROM charged
    ), {CHARGE_FLOWS}
    SELECT count(*) FROM charged
""")

_WAITING = text(f"""
    WITH {fair_order(is_claim=False)}
    SELECT p.project_id, CASE WHEN p.num > 0 THEN p.end_user END AS end_user,
           (SELECT coalesce(array_agg(o.project_id), '{{}}') FROM project_order o
            WHERE p.num = 0 AND o.num > 0 AND NOT o.is_flex
              AND o.virtual_time + (o.num - 1) * o.estimate >= p.start_tag) AS project_ids,
           (SELECT coalesce(array_agg(o.end_user), '{{}}') FROM ({users_of_project()}) o
            WHERE p.num > 0 AND o.num > 0
              AND o.virtual_time + (o.num - 1) * o.estimate >= p.user_start_tag) AS end_users
    FROM fair p WHERE NOT p.is_flex AND (p.num = 0 OR p.user_num = 0)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The next response in the fair order, where it is of a flow of which nothing runs."""

    project_id: str
    end_user: int | None
    """Digest of an end user of whom nothing runs; None if nothing of the whole project does."""
    project_ids: frozenset[str]
    """Projects that run so many that they would not be next if one of them were put off."""
    end_users: frozenset[int]
    """End users of the project of whom the same is true."""

    @property
    def key(self) -> tuple[str, int | None]:
        """Identity of the flow that waits."""
        return self.project_id, self.end_user


class Flows:
    """Data access of flows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refresh(self) -> None:
        """Let idle flows keep up with those that have responses queued, or delete them.

        So what a flow does not use while it is idle is not saved up. Once nothing is queued, no
        flow is behind any other.
        """
        with self._database.upkeep_join() as connection:
            are_unknown = connection.execute(_REFRESH).scalar_one()
        if are_unknown:
            with self._database.upkeep() as connection:
                connection.execute(_ADD)

    def release_due(self) -> int:
        """Let deferred responses be claimed whose time has come; return how many.

        No more than `MAX_RELEASED` at a time.
        """
        with self._database.upkeep() as connection:
            return int(connection.execute(_RELEASE).scalar_one())

    def charge(self, project_id: str, records: Sequence[ResponseRecord]) -> None:
        """Charge the flows of a project's running responses for their usage so far."""
        values = {
            "project_id": project_id,
            "ids": [record.id for record in records],
            "attempts": [record.attempt for record in records],
            "costs": [cost_of(record.usage) for record in records],
        }
        with self._database.statement(project_id) as connection:
            connection.execute(_CHARGE, values)

    def find_waiting(self, model: str) -> Waiting | None:
        """Return the flow that is next, if nothing of it runs; None otherwise.

        Responses of the `flex` tier do not count, nor do those that must run alone.
        """
        values = {"model": model, "is_idle": False, "stands_by": False, "only_stored": False}
        with self._database.upkeep() as connection:
            row = connection.execute(_WAITING, values).first()
        if row is None:
            return None
        return Waiting(
            project_id=row.project_id,
            end_user=row.end_user,
            project_ids=frozenset(row.project_ids),
            end_users=frozenset(row.end_users),
        )
