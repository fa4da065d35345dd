"""Recovery times in seconds, published in docs/guarantees.md."""

import signal
import time
from collections.abc import Callable, Iterator

import orjson

from tests.chaos.cluster import Cluster
from tests.chaos.journal import Received
from tests.chaos.stopwatch import Stopwatch, busiest_worker, open_streams, streams_of, wait_until
from tests.chaos.web import PATH, Answer, Unreachable

_NUM_STREAMS = 12
_LOST_S = 60.0
_UNDERWAY_S = 0.1
"""Seconds for which events that a killed worker had logged may still arrive."""


def after_kill(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure SIGKILL of a worker under its supervisor → next event of each of its responses."""
    yield from _after_loss(cluster, count, lambda name: cluster.signal(name, signal.SIGKILL))


def after_unseen_kill(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure the same with a stopped supervisor, so that the lease has to expire."""

    def kill(name: str) -> None:
        cluster.signal("supervisor", signal.SIGSTOP)
        cluster.signal(name, signal.SIGKILL)

    yield from _after_loss(
        cluster, count, kill, lambda _: cluster.signal("supervisor", signal.SIGCONT)
    )


def after_freeze(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure SIGSTOP of a worker, so that all its threads hang."""
    yield from _after_loss(
        cluster,
        count,
        lambda name: cluster.signal(name, signal.SIGSTOP),
        lambda name: cluster.signal(name, signal.SIGCONT),
    )


def after_hang(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure a hang of a worker's engine, while its other threads run on."""
    yield from _after_loss(cluster, count, cluster.hang)


def _after_loss(
    cluster: Cluster,
    count: int,
    strike: Callable[[str], object],
    mend: Callable[[str], object] = lambda _: None,
) -> Iterator[float]:
    """Lose the busiest worker repeatedly; each response it was running is one sample.

    Every round has new responses, because one that loses a third worker is failed.
    """
    for _ in range(count):
        wait_until(lambda: cluster.num_leases() >= 2, _LOST_S)
        streams = open_streams(cluster, _NUM_STREAMS)
        name = busiest_worker(cluster)
        struck = streams_of(cluster, streams, cluster.pid(name))
        began = time.monotonic()
        strike(name)
        for stream in struck:
            yield stream.wait_after(began + _UNDERWAY_S, _LOST_S) - began
        mend(name)
        for stream in streams:
            stream.cancel()


def after_redis(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure Redis answering after five seconds down → start of a response queued meanwhile."""
    for _ in range(count):
        cluster.signal("supervisor", signal.SIGSTOP)
        cluster.signal("valkey", signal.SIGKILL)
        response_id = _create(cluster)
        time.sleep(5)
        cluster.signal("supervisor", signal.SIGCONT)
        back = wait_until(lambda: _pings(cluster), _LOST_S)
        yield _wait_until_begun(cluster, response_id) - back


def after_postgres(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure Postgres answering after a fast or immediate restart → a new response in progress."""
    for number in range(count):
        cluster.signal("postgres", signal.SIGQUIT if number % 2 else signal.SIGINT)
        wait_until(lambda: not _connects(cluster), _LOST_S)
        back = wait_until(lambda: _connects(cluster), _LOST_S)
        _wait_until_served(cluster)
        yield time.monotonic() - back
        time.sleep(1)


def of_cancel(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure cancel of a running response → its answer, `cancelled`."""
    for _ in range(count):
        stream = open_streams(cluster, 1)[0]
        began = time.monotonic()
        answer = cluster.web.request("POST", f"{PATH}/{stream.response_id}/cancel")
        assert answer.body["status"] == "cancelled", answer
        yield time.monotonic() - began
        stream.stop()


def of_disconnect(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure disconnect of a foreground stream's client → end of its response."""
    for _ in range(count):
        body = {"input": "hi", "max_output_tokens": 1_000_000, "stream": True}
        with cluster.web.stream("POST", PATH, body) as events:
            response_id = orjson.loads(_first_of(events).data)["response"]["id"]
            _wait_for_status(cluster, response_id, "in_progress")
        began = time.monotonic()
        _wait_for_status(cluster, response_id, "cancelled")
        yield time.monotonic() - began


def of_resume(cluster: Cluster, count: int) -> Iterator[float]:
    """Measure GET of a running stream with `starting_after` → its first event."""
    streams = open_streams(cluster, 4)
    try:
        for number in range(count):
            stream: Stopwatch = streams[number % len(streams)]
            following = max(0, stream.num_events - 100)
            path = f"{PATH}/{stream.response_id}?stream=true&starting_after={following}"
            began = time.monotonic()
            with cluster.web.stream("GET", path) as events:
                event = _first_of(events)
            assert event.number == following + 1
            yield event.at - began
    finally:
        for stream in streams:
            stream.stop()


def _first_of(events: Answer | Iterator[Received | None]) -> Received:
    """Return the next event of an opened stream."""
    assert not isinstance(events, Answer), events
    return next(event for event in events if event)


def _wait_until_begun(cluster: Cluster, response_id: str) -> float:
    return wait_until(lambda: _status(cluster, response_id) != "queued", _LOST_S)


def _wait_for_status(cluster: Cluster, response_id: str, status: str) -> None:
    wait_until(lambda: _status(cluster, response_id) == status, _LOST_S)


def _wait_until_served(cluster: Cluster) -> None:
    """Return once a new response is in progress."""
    ids: list[str] = []
    wait_until(lambda: _try_create(cluster, ids), _LOST_S)


def _create(cluster: Cluster) -> str:
    answer = cluster.web.request("POST", PATH, {"input": "hi", "background": True})
    assert answer.status == 200, answer
    return str(answer.body["id"])


def _try_create(cluster: Cluster, ids: list[str]) -> bool:
    try:
        if not ids:
            ids.append(_create(cluster))
        return _status(cluster, ids[0]) in ("in_progress", "completed")
    except (*Unreachable, AssertionError, KeyError):
        return False


def _status(cluster: Cluster, response_id: str) -> str:
    return str(cluster.web.request("GET", f"{PATH}/{response_id}").body["status"])


def _pings(cluster: Cluster) -> bool:
    try:
        with cluster.redis() as client:
            return bool(client.ping())
    except Exception:
        return False


def _connects(cluster: Cluster) -> bool:
    try:
        cluster.database().close()
    except Exception:
        return False
    return True
