"""Duration of claims with a long queue of many projects."""

import statistics
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
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


def measure_claims(
    tenants: Tenants, *, num_queued: int, num_projects: int, num_claims: int, rounds: int
) -> list[Measure]:
    """Measure claims in a queue of so many responses and projects, by one and several workers."""
    tenants.sql("DELETE FROM responses WHERE model = %s", MODEL)
    tenants.sql(
        "INSERT INTO projects (project_id) SELECT 'claims ' || n FROM generate_series(0, %s) n"
        " ON CONFLICT DO NOTHING",
        num_projects - 1,
    )
    alone: list[list[float]] = []
    together: list[list[float]] = []
    for _ in range(rounds):
        for measure, durations in ((_claims_s, alone), (_claims_of_several_s, together)):
            _fill(tenants, num_queued, num_projects)
            durations.append(measure(tenants, num_claims))
    shape = f"{num_queued} queued, projects: {num_projects}"
    return [
        Measure(
            name=f"{shape}: claim p50, ms",
            rounds=[statistics.median(each) * 1000 for each in alone],
        ),
        Measure(
            name=f"{shape}: claim p95, ms",
            rounds=[percentile(each, 95) * 1000 for each in alone],
            goal=Goal(at_most=10),
        ),
        Measure(
            name=f"{shape}, {NUM_WORKERS} workers at once: claim p95, ms",
            rounds=[percentile(each, 95) * 1000 for each in together],
        ),
    ]


def _fill(tenants: Tenants, num_queued: int, num_projects: int) -> None:
    [[num_left]] = tenants.sql(_COUNT, MODEL)
    prefix = f"{str(new_id())[:14]}7000-8000-"
    tenants.sql(_QUEUE, prefix, num_projects, MODEL, num_queued - num_left)
    tenants.sql("ANALYZE responses")
    tenants.store.flows.refresh()


def _claims_of_several_s(tenants: Tenants, num_claims: int) -> list[float]:
    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        runs = threads.map(lambda _: _claims_s(tenants, num_claims // 2), range(NUM_WORKERS))
        return [duration for run in runs for duration in run]


def _claims_s(tenants: Tenants, num_claims: int) -> list[float]:
    """Claim so many responses, and finish the oldest when all places are taken."""
    worker = WorkerIdentity(
        id=new_id(), project_id=DEFAULT_PROJECT, name="bench", model=MODEL, host="bench", pid=1
    )
    tenants.store.workers.register(worker)
    held: deque[ResponseRecord] = deque()
    durations = []
    for number in range(num_claims + NUM_WARM_UP):
        if number % RENEW_EVERY == 0:
            tenants.store.workers.renew(worker)
        began = time.perf_counter()
        claimed = tenants.store.claims.claim(worker.id, MODEL)
        durations.append(time.perf_counter() - began)
        if claimed is None:
            raise BenchError("a claim found nothing")
        held.append(claimed)
        if len(held) >= NUM_PLACES:
            _finish(tenants, held.popleft())
    for claimed in held:
        _finish(tenants, claimed)
    tenants.store.workers.leave(worker)
    return durations[NUM_WARM_UP:]


def _finish(tenants: Tenants, claimed: ResponseRecord) -> None:
    ending = TerminalRecord(
        status=ResponseStatus.COMPLETED, finished_at=datetime.now(UTC), usage=_USAGE
    )
    assert tenants.store.finisher.finish(claimed, ending)
