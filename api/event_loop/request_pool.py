"""Threads of requests, fewer of which run while the event loop is late."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from api.event_loop.bounded_pool import BoundedPool

P = ParamSpec("P")
T = TypeVar("T")

MIN_RUNNING = 4
"""Number of requests that run however late the loop is."""
LATE_S = 0.02
"""Lateness of the loop from which on fewer requests run."""
_INTERVAL_S = 0.01

CallLater = Callable[[float, Callable[[], object]], object]


class RequestPool(BoundedPool):
    """Executor that adapts the number of running calls to how late the event loop is.

    The interpreter runs one thread at a time. The event loop gives way to the others with each call
    that sends or receives, so beside many threads that compute it takes seconds to accept and
    answer what needs no thread. Threads that wait, for the database or a child process, do not
    delay it. While calls wait for their turn, the number that may run grows by one each 10 ms, and
    is halved whenever the loop is late (additive increase, multiplicative decrease; RFC 5681).
    """

    def __init__(self, num_threads: int, call_later: CallLater) -> None:
        """Create the pool; `call_later` calls a function in the event loop after some seconds."""
        super().__init__(num_threads, "request", max_running=MIN_RUNNING)
        self._num_threads = num_threads
        self._call_later = call_later
        self._next_look_at: float | None = None
        """Monotonic time of the next look at the loop; None while no call waits."""

    def submit_for(
        self, client: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        """Run a function once it is the client's turn; call this in the event loop."""
        future = super().submit_for(client, function, *args, **kwargs)
        if self._waiting and self._next_look_at is None:
            self._look_later()
        return future

    def _look_later(self) -> None:
        self._next_look_at = time.monotonic() + _INTERVAL_S
        self._call_later(_INTERVAL_S, self._look)

    def _look(self) -> None:
        """Adapt the number of running calls to how late this call is."""
        assert self._next_look_at is not None
        is_late = time.monotonic() - self._next_look_at > LATE_S
        with self._lock:
            if is_late:
                self._max_running = max(MIN_RUNNING, self._max_running // 2)
            else:
                self._max_running = min(self._num_threads, self._max_running + 1)
            self._start_some()
            is_last = not self._waiting
            self._next_look_at = None
        if not is_last:
            self._look_later()
