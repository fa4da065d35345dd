"""Audit of the server: a trigger that records every change, and the state at the end of a run.

The trigger exists in databases of the chaos tests only.
"""

import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import redis
from psycopg.rows import dict_row

from models.ids import response_wire_id
from models.streams.event_log import FINISHED_TTL_S
from tests.chaos.cluster import Cluster
from tests.chaos.journal import output_text

_PATIENCE_S = 60
"""Seconds for a connection once all faults are over: the machine itself may stall."""
_INSTALL = """
    CREATE TABLE audit (
        number bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        id uuid NOT NULL, old_status text, new_status text, old_attempt int, new_attempt int,
        owner uuid, writer text NOT NULL
    );
    CREATE TABLE audit_workers (id uuid PRIMARY KEY, writer text NOT NULL);

    CREATE FUNCTION note_response() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO audit (id, old_status, new_status, old_attempt, new_attempt, owner, writer)
        SELECT coalesce(NEW.id, OLD.id), OLD.status, NEW.status, OLD.attempt, NEW.attempt,
               OLD.worker_id, current_setting('application_name');
        RETURN NULL;
    END $$;
    CREATE FUNCTION note_worker() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO audit_workers VALUES (NEW.id, current_setting('application_name'))
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;
    CREATE TRIGGER audit_changes AFTER INSERT OR DELETE ON responses
        FOR EACH ROW EXECUTE FUNCTION note_response();
    CREATE TRIGGER audit_moves AFTER UPDATE ON responses FOR EACH ROW
        WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.attempt IS DISTINCT FROM NEW.attempt)
        EXECUTE FUNCTION note_response();
    CREATE TRIGGER audit_workers AFTER INSERT ON workers
        FOR EACH ROW EXECUTE FUNCTION note_worker();
    INSERT INTO audit_workers SELECT id, 'antiphon worker ' || pid FROM workers;
"""

_CHANGES = """
    SELECT extract(epoch FROM a.at)::float8 AS at, a.id, a.old_status, a.new_status, a.old_attempt,
           a.new_attempt, a.writer, w.writer AS owner
    FROM audit a LEFT JOIN audit_workers w ON w.id = a.owner ORDER BY a.number
"""

_ROWS = """
    SELECT r.id, r.status, r.attempt, r.num_crashes, r.background, r.end_user, r.store, r.usage,
           r.metadata,
           r.previous_response_id, extract(epoch FROM r.started_at)::float8 AS started_at,
           (SELECT coalesce(json_agg(i.body ORDER BY i.position), '[]') FROM items i
            WHERE i.response_id = r.id AND i.direction = 'output') AS output,
           (SELECT a.data FROM event_archives a WHERE a.response_id = r.id) AS archive
    FROM responses r ORDER BY r.id
"""

_UNFINISHED = "SELECT count(*) FROM responses WHERE status IN ('queued', 'in_progress')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Recorded change of a row of `responses`: insert, transition or delete."""

    at: float
    """Seconds since the epoch on the database's clock."""
    response_id: str
    old_status: str | None
    new_status: str | None
    old_attempt: int | None
    new_attempt: int | None
    writer: str
    """Process that made the change."""
    owner: str | None
    """Process that held the response before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Stored response at the end of the run."""

    response_id: str
    status: str
    attempt: int
    num_crashes: int
    background: bool
    end_user: int
    store: bool
    usage: dict[str, Any] | None
    metadata: dict[str, str]
    previous_id: str | None
    started_at: float | None
    text: str
    events: list[bytes] | None
    """Events in the archive; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """State of the server at the end of the run, and all changes before."""

    rows: dict[str, Row]
    changes: list[Change]
    redis_keys: dict[str, int] = field(default_factory=dict)
    """Time to live in seconds by key; -1 if the key does not expire."""
    unacked_for_s: list[float] = field(default_factory=list)
    """Seconds since the delivery of each unacknowledged wake-up."""


def install_audit(cluster: Cluster) -> None:
    """Install the triggers, which record every change from now on."""
    with cluster.database() as connection:
        connection.execute(_INSTALL)


def wait_for_rest(cluster: Cluster, *, within_s: float) -> int:
    """Wait until all responses have ended; return the number unfinished after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        num_unfinished = _num_unfinished(cluster)
        if num_unfinished == 0 or time.monotonic() > deadline:
            return num_unfinished
        time.sleep(0.2)


def wait_for_sweep(cluster: Cluster, deleted: Collection[str | None], *, within_s: float) -> None:
    """Wait until Redis has no log of a deleted response, and none with the TTL of a running one."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with cluster.redis() as client:
            keys = _keys(client)
        if not any(is_left(key, ttl_s, deleted) for key, ttl_s in keys.items()):
            return
        time.sleep(0.5)


def is_left(key: str, ttl_s: int, deleted: Collection[str | None]) -> bool:
    """Return True if a key has outlived its response; `deleted` are ids with the prefix `resp_`."""
    if f"resp_{key.rpartition(':')[2]}" in deleted:
        return True
    return key.startswith(("antiphon:log:", "antiphon:fence:")) and ttl_s > FINISHED_TTL_S


def collect(cluster: Cluster) -> Kept:
    """Read the state of the server."""
    with (
        cluster.database(connect_timeout_s=_PATIENCE_S) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        rows = [_row(row) for row in cursor.execute(_ROWS)]
        changes = [_change(row) for row in cursor.execute(_CHANGES)]
    with cluster.redis() as client:
        return Kept(
            rows={row.response_id: row for row in rows},
            changes=changes,
            redis_keys=_keys(client),
            unacked_for_s=_unacked_for_s(client),
        )


def _num_unfinished(cluster: Cluster) -> int:
    with cluster.database(connect_timeout_s=_PATIENCE_S) as connection:
        found = connection.execute(_UNFINISHED).fetchone()
    assert found is not None
    return int(found[0])


def _row(row: dict[str, Any]) -> Row:
    data, previous = row["archive"], row["previous_response_id"]
    return Row(
        response_id=response_wire_id(row["id"]),
        status=row["status"],
        attempt=row["attempt"],
        num_crashes=row["num_crashes"],
        background=row["background"],
        end_user=row["end_user"],
        store=row["store"],
        usage=row["usage"],
        metadata=row["metadata"],
        previous_id=response_wire_id(previous) if previous else None,
        started_at=row["started_at"],
        text=output_text({"output": row["output"]}),
        events=None if data is None else zlib.decompress(data).split(b"\n"),
    )


def _change(row: dict[str, Any]) -> Change:
    fields = {name: value for name, value in row.items() if name != "id"}
    return Change(response_id=response_wire_id(row["id"]), **fields)


def _keys(client: redis.Redis) -> dict[str, int]:
    names = list(client.scan_iter(count=1000))
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.ttl(name)
    return dict(zip((name.decode() for name in names), pipeline.execute(), strict=True))


def _unacked_for_s(client: redis.Redis) -> list[float]:
    delivered: Any = client.zrange("unacked_index", 0, -1, withscores=True)
    return [time.time() - delivered_at for _, delivered_at in delivered]
