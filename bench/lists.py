"""Benchmark of lists of many stored responses: `python -m bench.lists --responses 1000000`.

A Postgres of its own is filled by SQL: half of the responses are of one project, the others of a
thousand. Each list is read as `GET /v1/responses` reads it, with the role of the API.
"""

import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import psycopg
import typer

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from cli.embedded import EmbeddedPostgres
from cli.embedded.roles import APP, MAINTENANCE, OWNER
from models.metrics.history import figures_of
from models.metrics.readings import take_readings
from models.metrics.totals import Snapshot
from models.responses.status import ResponseStatus
from models.store.listing import ListFilter
from models.store.store import Store

_ROOT = Path(__file__).parents[1]
_GOAL_MS = 200.0
_SPAN = timedelta(days=20)
_BATCH = 50_000
_FILL = """
    WITH made AS (
        SELECT n, CAST(lpad(to_hex(ms), 12, '0') || '7' || substr(h, 1, 3) || '8'
                       || substr(h, 4, 15) AS uuid) AS id,
               to_timestamp(ms / 1000) AS at,
               CASE WHEN mod(n, 2) = 0 THEN 'big'
                    ELSE 'p' || mod(n / 2, %(projects)s) END AS project
        FROM generate_series(CAST(%(first)s AS int), %(last)s) n,
             LATERAL (SELECT %(begin)s + CAST(n AS bigint) * %(step)s AS ms,
                             md5(CAST(n AS text)) AS h) t
    ), written AS (
        INSERT INTO responses (id, project_id, model, status, background, store, metadata, usage,
                               created_at, finished_at)
        SELECT id, project, CASE WHEN mod(n, 1000) < 2 THEN 'rare' ELSE 'common' END,
               CASE WHEN mod(n, 400) < 2 THEN 'failed' WHEN mod(n, 5000) < 2 THEN 'cancelled'
                    ELSE 'completed' END,
               true, true,
               CAST(CASE WHEN mod(n, 10) < 2
                    THEN json_build_object('team', 't' || mod(n, 100),
                                           'run', CAST(n / 1000 AS text))
                    ELSE '{}' END AS json), '{"output_tokens": 9}', at, at
        FROM made RETURNING id, project_id
    )
    INSERT INTO items (response_id, direction, position, project_id, body)
    SELECT id, 'output', 0, project_id,
           json_build_object('type', 'message', 'id', 'msg_' || id, 'content', repeat('word ', 40))
    FROM written
"""


def main(
    responses: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    projects: Annotated[int, typer.Option(min=1)] = 1000,
    times: Annotated[int, typer.Option(min=20, help="That each list is read.")] = 100,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure how long lists take, by their filters."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.lists", *sys.argv[1:]]))
    with tempfile.TemporaryDirectory(prefix="lists-") as folder:
        server = EmbeddedPostgres(Path(folder))
        with server:
            _fill(server, responses, projects)
            url, upkeep = server.url_of(APP), server.url_of(MAINTENANCE)
            with closing(Store.open(url, maintenance_url=upkeep, pool_size=2)) as store:
                measures = [
                    Measure(name=f"{name}, p95, ms", rounds=rounds, goal=Goal(at_most=_GOAL_MS))
                    for name, read in (_lists(store, projects) | _graphs(store)).items()
                    for rounds in [_p95_of(read, times)]
                ]
        server.discard()
    publish(f"Lists of {responses:,} responses", circumstances, measures, results)


_FILL_MINUTES = """
    INSERT INTO metric_minutes (minute, model, taken_at, num_queued, totals)
    SELECT minute, model, minute + interval '0.2 s', mod(n, 50), (
        SELECT json_object_agg(name, n * 7) FROM (
            SELECT unnest(ARRAY['output', 'ended', 'failed']) AS name
            UNION ALL SELECT 'wait ' || bound FROM generate_series(1, 15) bound
            UNION ALL SELECT 'ttft ' || bound FROM generate_series(1, 16) bound) names)
    FROM generate_series(1, 1500) n,
         LATERAL (SELECT date_trunc('minute', now()) - n * interval '1 min' AS minute) t,
         unnest(ARRAY['common', 'rare', 'new']) AS model
"""


def _fill(server: EmbeddedPostgres, num: int, projects: int) -> None:
    environment = {"DATABASE_URL": server.url_of(OWNER), "REDIS_URL": "redis://", "PATH": ""}
    command = [sys.executable, str(_ROOT / "antiphon"), "migrate"]
    subprocess.run(command, env=environment, cwd=_ROOT, check=True)
    began = datetime.now(UTC) - _SPAN
    with closing(
        Store.open(server.url_of(APP), maintenance_url=server.url_of(MAINTENANCE), pool_size=1)
    ) as store:
        store.partitions.add(began)
        store.partitions.add(datetime.now(UTC))
    span_ms = int(_SPAN.total_seconds() * 1000)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("INSERT INTO projects (project_id) VALUES ('big')")
        names = "SELECT 'p' || n FROM generate_series(0, %s) n"
        connection.execute(f"INSERT INTO projects (project_id) {names}".encode(), [projects - 1])
        for first in range(0, num, _BATCH):
            values = {
                "first": first,
                "last": min(first + _BATCH, num) - 1,
                "projects": projects,
                "begin": int(began.timestamp() * 1000),
                "step": max(1, span_ms // num),
            }
            connection.execute(_FILL, values)
        connection.execute(_FILL_MINUTES)
        connection.execute("VACUUM ANALYZE")


def _lists(store: Store, projects: int) -> dict[str, Callable[[], object]]:
    """Return what reads each list, by its name."""
    newest = store.lists.read_page("big", ListFilter(limit=1))[0]
    middle = datetime.now(UTC) - _SPAN / 2
    filters: dict[str, dict[str, Any]] = {
        "the newest": {},
        "one status, half a percent": {"statuses": (ResponseStatus.FAILED,)},
        "two statuses": {"statuses": (ResponseStatus.FAILED, ResponseStatus.CANCELLED)},
        "a status that none has": {"statuses": (ResponseStatus.QUEUED,)},
        "a rare model": {"model": "rare"},
        "a model that none has": {"model": "none"},
        "a status and a rare model": {"statuses": (ResponseStatus.FAILED,), "model": "rare"},
        "metadata": {"metadata": {"team": "t10"}},
        "two pairs of metadata": {"metadata": {"team": "t10", "run": "7"}},
        "metadata and a status": {
            "metadata": {"team": "t10"},
            "statuses": (ResponseStatus.CANCELLED,),
        },
        "a day": {"created_since": middle, "created_before": middle + timedelta(days=1)},
        "the beginning of an id": {"id_prefix": newest.id.hex[:11]},
        "from the middle on": {"after": UUID(int=int(middle.timestamp() * 1000) << 80)},
        "the oldest": {"ascending": True},
    }
    big = {
        f"half of them: {name}": _reader(store, lambda: "big", ListFilter(limit=21, **more))
        for name, more in filters.items()
    }
    small = {
        f"a small project: {name}": _reader(
            store, lambda: f"p{random.randrange(projects)}", ListFilter(limit=21, **more)
        )
        for name, more in filters.items()
    }
    return big | small | {"the queue": lambda: store.lists.queues("big")}


def _graphs(store: Store) -> dict[str, Callable[[], object]]:
    """Return what reads the figures of graphs of three models, and what writes a minute."""

    def read(length: timedelta, step: timedelta) -> object:
        seconds = int(step.total_seconds())
        last = datetime.fromtimestamp(int(time.time()) // seconds * seconds, UTC)
        rows = store.minutes.read(last - length, last, step)
        return figures_of(rows, last - length, length // step, step)

    def write() -> object:
        queued = dict.fromkeys(("common", "rare", "new"), 0)
        queued |= {state.model: state.num for state in store.queue.states()}
        return store.minutes.write(take_readings(Snapshot(), queued))

    return {
        "graphs: 24 hours": lambda: read(timedelta(hours=24), timedelta(minutes=5)),
        "graphs: 1 hour": lambda: read(timedelta(hours=1), timedelta(minutes=1)),
        "graphs: the reading of a minute, written": write,
    }


def _reader(store: Store, project: Callable[[], str], asked: ListFilter) -> Callable[[], object]:
    return lambda: store.lists.read_page(project(), asked)


def _p95_of(read: Callable[[], object], times: int) -> list[float]:
    """Return the 95th percentiles of five groups of reads, in milliseconds."""
    read()
    groups = [sorted(_timed(read) for _ in range(max(4, times // 5))) for _ in range(5)]
    return [group[int(0.95 * (len(group) - 1))] for group in groups]


def _timed(read: Callable[[], object]) -> float:
    began = time.perf_counter()
    read()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    typer.run(main)
