"""The asyncio loop of one process, which serves its sockets, and the threads that work for it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import uvloop

from api.event_loop.bounded_pool import BoundedPool
from api.event_loop.request_pool import RequestPool
from models.outages import OUTAGES
from models.vital_thread import VitalThread

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_NUM_READERS = 8
_NUM_LARGE = 2
_NUM_CONTROL = 4
_NUM_CLEANERS = 4


class EventLoop:
    """Loop in a thread of its own, with pools of threads for calls that block.

    Pools are separate so that none waits for another: `requests` runs ordinary requests, `large`
    those with large bodies, whose parsing takes memory, `control` probes and cancels, `reads` the
    reads by which streams catch up, and `clean_ups` what is left to do for clients that have left.
    """

    def __init__(self, num_threads: int) -> None:
        self.requests = RequestPool(num_threads, lambda *args: self.loop.call_later(*args))
        self.large = BoundedPool(_NUM_LARGE, "large_request")
        self.control = ThreadPoolExecutor(_NUM_CONTROL, "control")
        self.reads = ThreadPoolExecutor(_NUM_READERS, "stream_read")
        self.clean_ups = ThreadPoolExecutor(_NUM_CLEANERS, "clean_up")
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; its thread starts with the first use, after the fork."""
        if self._loop is None:
            with self._lock:
                if self._loop is None:
                    self._start()
        assert self._loop is not None
        return self._loop

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine from any thread; its future waits for the result or cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in the loop, from any thread; no effect once the loop has stopped."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            logger.debug("the loop has stopped")

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking read in a thread and wait for it in the loop."""
        return await asyncio.wrap_future(self.reads.submit(function, *args, **kwargs))

    def run_later(self, function: Callable[..., object], *args: object) -> None:
        """Run a function in a thread without waiting for it; log its failure."""

        def run() -> None:
            try:
                function(*args)
            except OUTAGES as error:
                logger.warning("not done after a stream", extra={"error": repr(error)})
            except Exception:
                logger.exception("clean-up failed")

        self.clean_ups.submit(run)

    def stop(self) -> None:
        """Cancel every coroutine, stop the loop and wait for calls in progress."""
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(timeout=10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        for pool in (self.requests, self.large, self.control, self.reads, self.clean_ups):
            pool.shutdown()

    def _start(self) -> None:
        loop = uvloop.new_event_loop()
        self._thread = VitalThread("event_loop", loop.run_forever)
        self._thread.start()
        self._loop = loop


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
