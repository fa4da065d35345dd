"""Worker in the test's own process: everything is real but Celery, which is simulated."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import redis

from models.settings import Settings
from models.streams.connection import connect
from tests.polling import PATIENCE_S
from worker.process.runtime import Runtime
from worker.process.timings import WorkerTimings
from worker.queue import queue_name

_MAX_THREADS = 16
_WAIT_S = 0.05


class InProcessWorker:
    """Worker that runs its task for every wake-up it takes off the queue."""

    def __init__(self, settings: Settings, timings: WorkerTimings = WorkerTimings()) -> None:
        assert settings.redis_url is not None
        self.runtime = Runtime(settings, "in-process", timings=timings)
        self._client = connect(settings.redis_url)
        self._tasks = ThreadPoolExecutor(min(settings.max_sequences, _MAX_THREADS))
        self._taken: list[Future[None]] = []
        self._stopping = threading.Event()
        self._consumer = threading.Thread(target=self._consume)

    def run_queued(self) -> Future[None]:
        """Run the task once, as for a wake-up."""
        task = self._tasks.submit(self.runtime.run_queued)
        self._taken.append(task)
        return task

    def wait_idle(self) -> None:
        """Return once every task started so far has ended."""
        assert not wait(self._taken, timeout=PATIENCE_S).not_done, "a task has not ended"

    def drain(self) -> None:
        """Stop as on SIGTERM: take no more wake-ups, then drain."""
        self._stopping.set()
        self._consumer.join()
        self.runtime.drain()

    def __enter__(self) -> Self:
        self.runtime.start()
        self._consumer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drain()
        self._tasks.shutdown()
        self.runtime.stop()
        self._client.close()

    def _consume(self) -> None:
        queue = queue_name(self.runtime.model_id)
        while not self._stopping.is_set():
            try:
                is_woken = self._client.blpop([queue], timeout=_WAIT_S)
            except redis.RedisError:
                self._stopping.wait(_WAIT_S)
                continue
            if is_woken:
                self.run_queued()
