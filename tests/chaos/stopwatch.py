"""Streams whose events are only timed."""

import threading
import time
from collections.abc import Callable, Iterator

from models.ids import response_wire_id
from tests.chaos.cluster import Cluster
from tests.chaos.journal import Received
from tests.chaos.web import PATH, Answer, Http, Unreachable

_RETRY_S = 0.05
_POLL_S = 0.005
_SOME_TEXT = 10
_BEGIN_S = 30.0
_LONG = 1_000_000
_HELD = """
    SELECT r.id FROM responses r JOIN workers w ON w.id = r.worker_id
    WHERE r.status = 'in_progress' AND w.pid = %s
"""


class Stopwatch:
    """Reader of one background response that records the first arrival of every event."""

    def __init__(self, web: Http) -> None:
        self._web = web
        self._arrivals: list[float] = []
        """Arrival times on the monotonic clock, by sequence number."""
        body = {"input": "hi", "max_output_tokens": _LONG, "background": True}
        self.response_id = str(web.request("POST", PATH, body).body["id"])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def num_events(self) -> int:
        """Number of events received."""
        return len(self._arrivals)

    def wait_after(self, moment: float, within_s: float) -> float:
        """Return the arrival time of the first new event after `moment`."""
        wait_until(lambda: self._arrivals[-1] > moment, within_s)
        return next(arrival for arrival in self._arrivals if arrival > moment)

    def cancel(self) -> None:
        """Cancel the response, and stop reading its stream."""
        self._web.request("POST", f"{PATH}/{self.response_id}/cancel")
        self.stop()

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            following = len(self._arrivals)
            query = f"&starting_after={following - 1}" if following else ""
            try:
                path = f"{PATH}/{self.response_id}?stream=true{query}"
                with self._web.stream("GET", path) as events:
                    if not isinstance(events, Answer):
                        self._take(events)
            except Unreachable:
                pass
            self._stopping.wait(_RETRY_S)

    def _take(self, events: Iterator[Received | None]) -> None:
        for event in events:
            if event is None:
                continue
            if self._stopping.is_set() or event.type == "error":
                return
            assert event.number == len(self._arrivals), f"{event.number} came next"
            self._arrivals.append(event.at)
            if event.is_terminal:
                self._stopping.set()


def open_streams(cluster: Cluster, number: int) -> list[Stopwatch]:
    """Open `number` streams, and wait until all have some text."""
    streams = [Stopwatch(cluster.web) for _ in range(number)]
    for stream in streams:
        _wait_for_text(stream)
    return streams


def busiest_worker(cluster: Cluster) -> str:
    """Return the worker that is running the most responses."""
    held = {name: len(_held(cluster, cluster.pid(name))) for name in cluster.workers()}
    return max(held, key=lambda name: held[name])


def streams_of(cluster: Cluster, streams: list[Stopwatch], pid: int) -> list[Stopwatch]:
    """Return the streams whose responses a worker process is running."""
    ids = _held(cluster, pid)
    return [stream for stream in streams if stream.response_id in ids]


def _held(cluster: Cluster, pid: int) -> set[str]:
    with cluster.database() as connection:
        rows = connection.execute(_HELD, [pid]).fetchall()
    return {response_wire_id(row[0]) for row in rows}


def _wait_for_text(stream: Stopwatch) -> None:
    wait_until(lambda: stream.num_events > _SOME_TEXT, _BEGIN_S)


def wait_until(is_true: Callable[[], object], within_s: float) -> float:
    """Poll until `is_true()`; return the monotonic time at which it was."""
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(_POLL_S)
    return time.monotonic()
