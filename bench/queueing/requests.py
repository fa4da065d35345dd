"""Rate and latency of POST and GET requests."""

import contextlib
import itertools
import time
from collections.abc import Iterator

import orjson

from bench.client.bodies import PATH, background_body
from bench.client.load import Answers, get_request, post_request, run_closed_loop
from bench.report import Goal, Measure, percentile
from bench.server import BenchError, Server
from models.settings import Settings
from models.store.store import Store

NUM_CONNECTIONS = 32
DRAIN_S = 300.0
_POLL_S = 0.2


def measure_requests(server: Server, *, rounds: int, seconds: float) -> list[Measure]:
    """Measure background POSTs while the worker processes them, then GETs of those responses."""
    with contextlib.closing(_store(server)) as store:
        created: list[Answers] = []
        num_queued: list[float] = []
        worked_off: list[float] = []
        for _ in range(rounds):
            answers = _run(server, itertools.repeat(post_request(PATH, background_body())), seconds)
            created.append(answers)
            num_queued.append(_num_queued(store))
            worked_off.append(len(answers.bodies) / (answers.seconds + _drain_s(store)))
    ids = [orjson.loads(body)["id"] for body in created[-1].bodies]
    gets = itertools.cycle([get_request(f"{PATH}/{response_id}") for response_id in ids])
    read = [_run(server, gets, seconds) for _ in range(rounds)]
    return [
        *_rate("POST", created, Goal(at_least=400)),
        Measure(name="queued at the end of the POSTs", rounds=num_queued),
        Measure(name="worked off, until none is queued, responses/s", rounds=worked_off),
        *_rate("GET", read, Goal(at_least=800)),
        Measure(
            name="answers other than 200",
            rounds=[answers.num_failed for answers in created + read],
        ),
    ]


def _run(server: Server, requests: Iterator[bytes], seconds: float) -> Answers:
    return run_closed_loop(
        server.address, requests, num_connections=NUM_CONNECTIONS, seconds=seconds
    )


def _rate(method: str, runs: list[Answers], goal: Goal) -> list[Measure]:
    latencies = [
        Measure(
            name=f"{method} p{percent}, ms",
            rounds=[percentile(answers.latencies_s, percent) * 1000 for answers in runs],
        )
        for percent in (50, 99)
    ]
    rates = [answers.per_second for answers in runs]
    return [Measure(name=f"{method}/s", rounds=rates, goal=goal), *latencies]


def _store(server: Server) -> Store:
    """Open the store of the server, because no route returns the length of the queue."""
    if server.database_url is None:
        raise BenchError("DATABASE_URL must be set to see the queue")
    url = Settings(database_url=server.database_url).database_url
    assert url is not None
    return Store.open(url, pool_size=1)


def _num_queued(store: Store) -> int:
    return sum(store.projects.num_queued().values())


def _drain_s(store: Store) -> float:
    """Wait until no response is queued; return the seconds that took."""
    began = time.monotonic()
    while _num_queued(store):
        if time.monotonic() - began > DRAIN_S:
            raise BenchError("the worker does not work its queue off")
        time.sleep(_POLL_S)
    return time.monotonic() - began
