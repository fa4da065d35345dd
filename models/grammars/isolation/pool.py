"""Pool of children that compile grammars, with a bounded number of places."""

import atexit
import logging
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any, Literal

from models.errors import OverloadedError, UnavailableError
from models.grammars.isolation.bounds import Lane, PoolBounds
from models.grammars.isolation.frames import receive_frame, send_frame
from models.grammars.isolation.server_process import ServerProcess
from models.grammars.isolation.tokenizer_file import TokenizerFile

logger = logging.getLogger(__name__)

_POLL_S = 0.05
"""Seconds between two checks that the answer is still wanted."""
_NUM_TRIES = 3
"""Number of fork servers that may end during one task."""

IsAbandoned = Callable[[], bool]
"""Function that returns True once nobody waits for the answer any more."""


class TooExpensiveError(Exception):
    """The grammar takes more time or memory than is allowed; the message says which."""


class AbandonedError(Exception):
    """Nobody waits for the answer any more."""


class _OutOfTimeError(TooExpensiveError):
    """The grammar takes more CPU time than its lane allows."""


class _ServerLostError(Exception):
    """The fork server ended during a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work for a child (`models/grammars/isolation/tasks.py`)."""

    name: Literal["follow", "warnings", "validate"]
    grammar: str
    tokenizer: TokenizerFile | None = None


class GrammarPool:
    """Runs tasks in children that can be killed; thread-safe."""

    def __init__(self, bounds: PoolBounds = PoolBounds()) -> None:
        """Create the pool; its fork server is started by the first task."""
        self._bounds = bounds
        self._places = [BoundedSemaphore(lane.num_places) for lane in bounds.lanes]
        self.server = ServerProcess()

    def run(
        self, task: Task, *, leniency: float = 1.0, is_abandoned: IsAbandoned = lambda: False
    ) -> Any:
        """Run a task within the pool's bounds times `leniency`, and return its result.

        Raises `TooExpensiveError`, `AbandonedError`, `OverloadedError` if no place becomes free or
        the machine is too busy, and `UnavailableError` if no fork server can be started.
        """
        bounds = self._bounds.scaled(leniency)
        expense = TooExpensiveError()
        for lane, places in zip(bounds.lanes, self._places, strict=True):
            with _hold(places, bounds.max_wait_s, is_abandoned):
                try:
                    return _result(self._run_in(lane, bounds, task, is_abandoned), lane, bounds)
                except _OutOfTimeError as error:
                    expense = error
        raise expense

    def stop(self) -> None:
        """End the fork server and its children; the next task starts another."""
        self.server.stop()

    def _run_in(
        self, lane: Lane, bounds: PoolBounds, task: Task, is_abandoned: IsAbandoned
    ) -> dict[str, Any]:
        request = {
            "task": task.name,
            "grammar": task.grammar,
            "nice": lane.nice,
            "max_cpu_s": lane.max_cpu_s,
            "max_child_s": bounds.max_child_s,
            "max_memory_bytes": bounds.max_memory_bytes,
        }
        for _ in range(_NUM_TRIES):
            try:
                # Closing the connection kills the child.
                with self.server.fork(task.tokenizer) as connection:
                    connection.settimeout(bounds.max_child_s)
                    send_frame(connection, request)
                    self._wait(connection, bounds, is_abandoned)
                    return receive_frame(connection)
            except (OSError, EOFError, _ServerLostError) as error:
                logger.warning("fork server of grammars lost", extra={"error": str(error)})
        raise UnavailableError("Grammars cannot be compiled now; try again.")

    def _wait(
        self, connection: socket.socket, bounds: PoolBounds, is_abandoned: IsAbandoned
    ) -> None:
        deadline = time.monotonic() + bounds.max_start_s + bounds.max_child_s
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        while not poll.poll(_POLL_S * 1000):
            if is_abandoned():
                raise AbandonedError
            if time.monotonic() > deadline:
                self.server.stop()
                raise _ServerLostError


@contextmanager
def _hold(places: BoundedSemaphore, max_wait_s: float, is_abandoned: IsAbandoned) -> Iterator[None]:
    """Hold one of the places, which others may have to leave first."""
    deadline = time.monotonic() + max_wait_s
    while not places.acquire(timeout=_POLL_S):
        if is_abandoned():
            raise AbandonedError
        if time.monotonic() > deadline:
            raise OverloadedError("The server compiles too many grammars now; try again.")
    try:
        yield
    finally:
        places.release()


def _result(answer: dict[str, Any], lane: Lane, bounds: PoolBounds) -> Any:
    """Return the result of a child, or raise the reason why it ended without one."""
    if "result" in answer:
        return answer["result"]
    match answer.get("signal"):
        case signal.SIGPROF | signal.SIGXCPU:
            raise _OutOfTimeError(f"takes more than {lane.max_cpu_s:g} s of CPU time")
        case signal.SIGABRT:
            mebibytes = bounds.max_memory_bytes >> 20
            raise TooExpensiveError(f"takes more than {mebibytes} MiB of memory")
        case signal.SIGALRM | signal.SIGKILL:
            raise OverloadedError("The server is too busy to compile a grammar; try again.")
    raise TooExpensiveError("ends in an error of the compiler")


@lru_cache(maxsize=1)
def shared_pool() -> GrammarPool:
    """Return the pool of this process."""
    pool = GrammarPool()
    atexit.register(pool.stop)
    return pool
