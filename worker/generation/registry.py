"""The generations that are running here, for whoever has to stop them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from models.responses.record import ResponseRecord
from worker.generation.generation import Generation


class RunningResponses:
    """Who is running, and what else is held here, from its claim until its end is written.

    Closed once, when the worker stops; no generation enters after.
    """

    def __init__(self) -> None:
        self._running: dict[UUID, Generation] = {}
        self._held: Counter[tuple[UUID, int]] = Counter()
        self._changed = threading.Condition()
        self.is_closed = False
        self.stands_by = False
        """Makes room for a response that is to run alone."""
        self._abort: Callable[[str], None] = lambda _: None

    def bind(self, abort: Callable[[str], None]) -> None:
        """Say how a sequence is aborted."""
        self._abort = abort

    @contextmanager
    def holding(self, stored: ResponseRecord) -> Iterator[None]:
        """Whatever happens to a claimed response inside is for its task to bring to an end."""
        key = (stored.id, stored.attempt)
        with self._changed:
            self._held[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= Counter({key: 1})

    @property
    def num_held(self) -> int:
        """Responses that tasks are at work on."""
        with self._changed:
            return self._held.total()

    def holds(self, response_id: UUID, attempt: int) -> bool:
        """Whether a task is at work on this attempt."""
        with self._changed:
            return (response_id, attempt) in self._held

    def enter(self, generation: Generation) -> bool:
        """Add a generation; False if the worker is stopping."""
        with self._changed:
            if self.is_closed:
                return False
            self._running[generation.stored.id] = generation
            return True

    def leave(self, generation: Generation) -> None:
        """Take a generation off."""
        with self._changed:
            if self._running.get(generation.stored.id) is generation:
                del self._running[generation.stored.id]
            self._changed.notify_all()

    def cancel(self, response_id: UUID) -> None:
        """Stop a response if it runs here; its end is then `cancelled`."""
        generation = self._running.get(response_id)
        if generation is not None:
            self._abort_all(generation)

    def cut(self, response_id: UUID) -> None:
        """Stop a response that has run for as long as any may; its end is then `incomplete`."""
        generation = self._running.get(response_id)
        if generation is not None:
            generation.is_overdue = True
            self._abort_all(generation)

    def close(self) -> None:
        """Let no more generations in."""
        with self._changed:
            self.is_closed = True

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing runs; False if the time is up first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    def reached(self) -> list[ResponseRecord]:
        """How far each running response that can be taken up again has come."""
        with self._changed:
            running = list(self._running.values())
        return [reached for each in running if not each.is_released and (reached := each.reached())]

    def release_flex(self) -> Generation | None:
        """Stop the youngest response of the tier that may be put off; None if there is none."""
        with self._changed:
            flex = [each for each in self._running.values() if each.stored.priority < 0]
            flex = [each for each in flex if not each.is_released and not each.is_over]
            # One that searches does not stop before it has found something.
            flex = [each for each in flex if not each.waiting]
        if not flex:
            return None
        flex[-1].is_released = True
        self._abort_all(flex[-1])
        return flex[-1]

    def release_all(self, *, is_lost: bool = False) -> list[Generation]:
        """Stop everything that generates without ending it; other workers are to take it up.

        What has come to its end is left to its task. If the lease is lost, nothing more is logged.
        """
        with self._changed:
            released = [each for each in self._running.values() if not each.is_over]
        for generation in released:
            generation.is_released = True
            generation.recorder.is_stale |= is_lost
            self._abort_all(generation)
        return released

    def _abort_all(self, generation: Generation) -> None:
        generation.is_interrupted = True
        for sequence_id in generation.sequence_ids:
            self._abort(sequence_id)
