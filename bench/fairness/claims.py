"""Duration of claims with a long queue of many projects."""

import statistics
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from bench.fairness.tenants import Tenants
from bench.report import Goal, Measure, percentile
from models.ids import new_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.finish import TerminalRecord
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT

MODEL = "claimed by the benchmark"
"""Model that no worker of the server serves."""
NUM_PLACES = 64
"""Responses that run at a time."""
_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 100,
}
_QUEUE = """
    INSERT INTO responses (id, project_id, model, status, background, store, end_user)
    SELECT CAST('01900000-0000-7000-8000-' || lpad(to_hex(%s + n), 12, '0') AS uuid),
           'claims ' || n %% %s, %s, 'queued', true, true, n %% 3
    FROM generate_series(1, %s) n
"""


def measure_claims(
    tenants: Tenants, *, num_queued: int, num_projects: int, num_claims: int, num_threads: int
) -> list[Measure]:
    """Measure claims in a queue of so many responses and projects, by one and several workers."""
    tenants.sql("DELETE FROM responses WHERE model = %s", MODEL)
    tenants.sql(
        "INSERT INTO projects (project_id) SELECT 'claims ' || n FROM generate_series(0, %s) n"
        " ON CONFLICT DO NOTHING",
        num_projects - 1,
    )
    tenants.sql(_QUEUE, 0, num_projects, MODEL, num_queued)
    tenants.sql("ANALYZE responses")
    tenants.store.flows.refresh()
    alone = _claims_s(tenants, num_claims)
    with ThreadPoolExecutor(num_threads) as threads:
        runs = threads.map(lambda _: _claims_s(tenants, num_claims // 2), range(num_threads))
        together = [duration for run in runs for duration in run]
    shape = f"{num_queued} queued, projects: {num_projects}"
    return [
        Measure(name=f"{shape}: claim p50, ms", rounds=[statistics.median(alone) * 1000]),
        Measure(
            name=f"{shape}: claim p95, ms",
            rounds=[percentile(alone, 95) * 1000],
            goal=Goal(at_most=10),
        ),
        Measure(
            name=f"{shape}, {num_threads} workers at once: claim p95, ms",
            rounds=[percentile(together, 95) * 1000],
        ),
    ]


def _claims_s(tenants: Tenants, num_claims: int) -> list[float]:
    """Claim so many responses, and finish the oldest when all places are taken."""
    worker = WorkerIdentity(
        id=new_id(), project_id=DEFAULT_PROJECT, name="bench", model=MODEL, host="bench", pid=1
    )
    tenants.store.workers.register(worker)
    held: deque[ResponseRecord] = deque()
    durations = []
    for number in range(num_claims + 20):
        if number % 20 == 0:
            tenants.store.workers.renew(worker)
        began = time.perf_counter()
        claimed = tenants.store.claims.claim(worker.id, MODEL)
        durations.append(time.perf_counter() - began)
        assert claimed is not None
        held.append(claimed)
        if len(held) >= NUM_PLACES:
            _finish(tenants, held.popleft())
    for claimed in held:
        _finish(tenants, claimed)
    tenants.store.workers.leave(worker)
    return durations[20:]  # the first ones prepare the statement


def _finish(tenants: Tenants, claimed: ResponseRecord) -> None:
    ending = TerminalRecord(
        status=ResponseStatus.COMPLETED, finished_at=datetime.now(UTC), usage=_USAGE
    )
    assert tenants.store.finisher.finish(claimed, ending)
