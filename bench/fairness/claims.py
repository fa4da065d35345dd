"""Duration of claims, and of ends, with a long queue of many projects."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.fairness.tenants import Tenants
from bench.report import Goal, Measure, percentile
from bench.server import BenchError
from models.ids import new_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.finish import TerminalRecord
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT

MODEL = "claimed by the benchmark"
"""Model that no worker of the server serves."""
NUM_PLACES = 64
"""Responses that a worker runs at a time."""
NUM_WORKERS = 4
NUM_WARM_UP = 20
"""Claims that are not measured: the first ones prepare the statement."""
RENEW_EVERY = 5
"""Claims between two renewals of the lease, within which they must be made on a slow machine."""
_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 100,
}
_QUEUE = """
    INSERT INTO responses (id, project_id, model, status, background, store, end_user)
    SELECT CAST(%s || lpad(to_hex(n), 12, '0') AS uuid), 'claims ' || n %% %s, %s, 'queued',
           true, true, n %% 3
    FROM generate_series(1, %s) n
"""

_COUNT = "SELECT count(*) FROM responses WHERE model = %s AND status = 'queued'"


@dataclass
class Durations:
    """Seconds of claims, and of the statements that end responses."""

    claims: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


def measure_claims(
    tenants: Tenants, *, num_queued: int, num_projects: int, num_claims: int, rounds: int
) -> list[Measure]:
    """Measure claims in a queue of so many responses and projects, by one and several workers.

    Ends of responses of one project wait for each other, which is seen where there is only one.
    """
    tenants.sql("DELETE FROM responses WHERE model = %s", MODEL)
    tenants.sql(
        "INSERT INTO projects (project_id) SELECT 'claims ' || n FROM generate_series(0, %s) n"
        " ON CONFLICT DO NOTHING",
        num_projects - 1,
    )
    alone: list[Durations] = []
    together: list[Durations] = []
    for _ in range(rounds):
        for measure, durations in ((_run, alone), (_run_several, together)):
            _fill(tenants, num_queued, num_projects)
            durations.append(measure(tenants, num_claims))
    shape = f"{num_queued} queued, projects: {num_projects}"
    several = f"{shape}, {NUM_WORKERS} workers at once"
    return [
        _measure(f"{shape}: claim p50, ms", [each.claims for each in alone], 50),
        _measure(f"{shape}: claim p95, ms", [each.claims for each in alone], 95, Goal(at_most=10)),
        _measure(f"{shape}: end p95, ms", [each.ends for each in alone], 95),
        _measure(f"{several}: claim p95, ms", [each.claims for each in together], 95),
        _measure(f"{several}: end p95, ms", [each.ends for each in together], 95),
    ]


def _measure(
    name: str, rounds: Sequence[Sequence[float]], percent: int, goal: Goal | None = None
) -> Measure:
    return Measure(name=name, rounds=[percentile(s, percent) * 1000 for s in rounds], goal=goal)


def _fill(tenants: Tenants, num_queued: int, num_projects: int) -> None:
    [[num_left]] = tenants.sql(_COUNT, MODEL)
    prefix = f"{str(new_id())[:14]}7000-8000-"
    tenants.sql(_QUEUE, prefix, num_projects, MODEL, num_queued - num_left)
    tenants.sql("ANALYZE responses")
    tenants.store.flows.refresh()


def _run_several(tenants: Tenants, num_claims: int) -> Durations:
    durations = Durations()
    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        for each in threads.map(lambda _: _run(tenants, num_claims // 2), range(NUM_WORKERS)):
            durations.claims += each.claims
            durations.ends += each.ends
    return durations


def _run(tenants: Tenants, num_claims: int) -> Durations:
    """Claim so many responses, and finish the oldest when all places are taken."""
    worker = WorkerIdentity(
        id=new_id(), project_id=DEFAULT_PROJECT, name="bench", model=MODEL, host="bench", pid=1
    )
    tenants.store.workers.register(worker)
    held: deque[ResponseRecord] = deque()
    durations = Durations()
    for number in range(num_claims + NUM_WARM_UP):
        if number % RENEW_EVERY == 0:
            tenants.store.workers.renew(worker)
        with _timing(durations.claims):
            claimed = tenants.store.claims.claim(worker.id, MODEL)
        if claimed is None:
            raise BenchError("a claim found nothing")
        held.append(claimed)
        if len(held) >= NUM_PLACES:
            _finish(tenants, held.popleft(), durations)
    for claimed in held:
        _finish(tenants, claimed, durations)
    tenants.store.workers.leave(worker)
    del durations.claims[:NUM_WARM_UP], durations.ends[:NUM_WARM_UP]
    return durations


@contextmanager
def _timing(durations: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    durations.append(time.perf_counter() - began)


def _finish(tenants: Tenants, claimed: ResponseRecord, durations: Durations) -> None:
    ending = TerminalRecord(
        status=ResponseStatus.COMPLETED, finished_at=datetime.now(UTC), usage=_USAGE
    )
    with _timing(durations.ends):
        assert tenants.store.finisher.finish(claimed, ending)
