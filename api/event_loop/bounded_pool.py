"""Executor that runs a bounded number of calls, not counting those that wait for other hosts."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MAX_ELSEWHERE = 64
"""Calls of one pool that may wait for other hosts beside those that run."""


class _CurrentPool(threading.local):
    """Pool of the calling thread."""

    pool: "BoundedPool | None" = None


_current = _CurrentPool()


class BoundedPool(Executor):
    """Executor of which `max_running` calls run at a time; the others wait for their turn.

    Clients take turns: one that has sent a thousand requests delays another by one.
    """

    def __init__(self, num_threads: int, name: str, *, max_running: int | None = None) -> None:
        """Create the pool; `max_running` is the number of threads unless it is given."""
        self._threads = ThreadPoolExecutor(num_threads + MAX_ELSEWHERE, name)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[Callable[[], object]]] = OrderedDict()
        """Calls that wait, by client; the first client is next."""
        self._num_running = 0
        self._max_running = num_threads if max_running is None else max_running

    @property
    def max_running(self) -> int:
        """Number of calls that may run now."""
        return self._max_running

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run a function in a thread once it is its turn."""
        return self.submit_for("", function, *args, **kwargs)

    def submit_for(
        self, client: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        """Run a function in a thread once it is the client's turn."""
        future: Future[T] = Future()
        call = partial(_fulfil, future, partial(function, *args, **kwargs))
        with self._lock:
            if self._num_running < self._max_running:
                self._num_running += 1
                self._threads.submit(self._run, call)
            else:
                self._waiting.setdefault(client, deque()).append(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Start all calls that wait, and wait for them."""
        with self._lock:
            self._max_running = self._num_running + sum(map(len, self._waiting.values()))
            self._start_some()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    @contextmanager
    def _without_me(self) -> Iterator[None]:
        """Let another call run in the place of the calling one; it goes on without waiting."""
        with self._lock:
            self._num_running -= 1
            self._start_some()
        try:
            yield
        finally:
            with self._lock:
                self._num_running += 1

    def _start_some(self) -> None:
        while self._waiting and self._num_running < self._max_running:
            self._num_running += 1
            self._threads.submit(self._run, self._take_next())

    def _take_next(self) -> Callable[[], object]:
        client, calls = self._waiting.popitem(last=False)
        call = calls.popleft()
        if calls:
            self._waiting[client] = calls
        return call

    def _run(self, call: Callable[[], object]) -> None:
        """Run a call, and then those that wait: to hand them to other threads would cost more."""
        _current.pool = self
        next_call: Callable[[], object] | None = call
        while next_call is not None:
            next_call()
            next_call = self._go_on()
        _current.pool = None

    def _go_on(self) -> Callable[[], object] | None:
        """Return the next call for the calling thread; None if its place is given up."""
        with self._lock:
            if self._waiting and self._num_running <= self._max_running:
                return self._take_next()
            self._num_running -= 1
            return None


@contextmanager
def waiting_elsewhere() -> Iterator[None]:
    """Let another call of the pool run while this one waits for another host.

    No effect in a thread that belongs to no such pool. The caller bounds how many calls do so.
    """
    pool = _current.pool
    if pool is None:
        yield
        return
    with pool._without_me():
        yield


def _fulfil(future: "Future[T]", call: Callable[[], T]) -> None:
    """Call a function and give a future its result or its exception."""
    if future.set_running_or_notify_cancel():
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
