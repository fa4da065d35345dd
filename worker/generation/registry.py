"""Registry of the responses that run in this worker."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from models.responses.record import ResponseRecord
from worker.generation.generation import Generation


class RunningResponses:
    """Registry of running generations and of claims held by task threads.

    A claim is held from the claim of a response until its end is written. The registry is closed
    once, when the worker stops, and accepts no generation afterwards. Safe from any thread.
    """

    def __init__(self) -> None:
        self._running: dict[UUID, Generation] = {}
        self._claims: Counter[tuple[UUID, int]] = Counter()
        self._changed = threading.Condition()
        self.is_closed = False
        self.is_standing_by = False
        """True if the worker claims no others until a response that must run alone can start."""
        self._abort: Callable[[str], None] = lambda _: None

    def bind(self, abort: Callable[[str], None]) -> None:
        """Set the function that aborts a sequence of the engine."""
        self._abort = abort

    @contextmanager
    def hold_claim(self, record: ResponseRecord) -> Iterator[None]:
        """Register a claim for the duration of the context; its task must end or release it."""
        key = (record.id, record.attempt)
        with self._changed:
            self._claims[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._claims -= Counter({key: 1})

    @property
    def num_claims(self) -> int:
        """Number of claims that task threads hold."""
        with self._changed:
            return self._claims.total()

    def has_claim(self, response_id: UUID, attempt: int) -> bool:
        """Return True if a task thread holds the claim of this attempt."""
        with self._changed:
            return (response_id, attempt) in self._claims

    @contextmanager
    def registered(self, generation: Generation) -> Iterator[bool]:
        """Register a generation while the context lasts; yield False if the registry is closed."""
        if not self.add(generation):
            yield False
            return
        try:
            yield True
        finally:
            self.remove(generation)

    def add(self, generation: Generation) -> bool:
        """Add a generation; return False if the registry is closed."""
        with self._changed:
            if self.is_closed:
                return False
            self._running[generation.record.id] = generation
            return True

    def remove(self, generation: Generation) -> None:
        """Remove a generation."""
        with self._changed:
            if self._running.get(generation.record.id) is generation:
                del self._running[generation.record.id]
            self._changed.notify_all()

    def cancel(self, response_id: UUID) -> None:
        """Stop a response if it runs here; it ends as `cancelled`."""
        generation = self._running.get(response_id)
        if generation is not None:
            self._abort_all(generation)

    def stop_overdue(self, response_id: UUID) -> None:
        """Stop a response that reached the maximum run time; it ends as `incomplete`."""
        generation = self._running.get(response_id)
        if generation is not None:
            generation.is_overdue = True
            self._abort_all(generation)

    def close(self) -> None:
        """Accept no more generations."""
        with self._changed:
            self.is_closed = True

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until no generation runs; return False on a timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    def checkpointed_records(self) -> list[ResponseRecord]:
        """Return the records, with checkpoints, of all running responses that can be resumed."""
        with self._changed:
            running = list(self._running.values())
        return [
            record
            for generation in running
            if not generation.is_released and (record := generation.checkpointed_record())
        ]

    def records(self) -> list[ResponseRecord]:
        """Return the records of all running responses."""
        with self._changed:
            return [generation.record for generation in self._running.values()]

    def records_with_usage(self) -> list[ResponseRecord]:
        """Return the records, with their usage so far, of all responses that generate."""
        with self._changed:
            running = list(self._running.values())
        return [
            generation.with_usage(generation.record)
            for generation in running
            if generation.run_s and not generation.is_released and not generation.is_over
        ]

    def preemptible(self) -> list[Generation]:
        """Return the responses that can be put off, the youngest last."""
        with self._changed:
            return [
                generation
                for generation in self._running.values()
                if not generation.is_released
                and not generation.is_over
                # A call would be made in vain.
                and not generation.waiting
                and not generation.is_opening
            ]

    def release(self, generation: Generation) -> bool:
        """Stop a response, without ending it; return False if it has ended meanwhile."""
        with self._changed:
            is_running = self._running.get(generation.record.id) is generation
            if not is_running or generation.is_over or generation.is_released:
                return False
            generation.is_released = True
        self._abort_all(generation)
        return True

    def release_all(self, *, is_lost: bool = False) -> list[Generation]:
        """Stop and return all generations, without ending them, for other workers to resume.

        Those that are over are left to their tasks. `is_lost`: the lease is lost, so that nothing
        more may be logged.
        """
        with self._changed:
            released = [
                generation for generation in self._running.values() if not generation.is_over
            ]
        for generation in released:
            generation.is_released = True
            generation.recorder.is_stale |= is_lost
            self._abort_all(generation)
        return released

    def _abort_all(self, generation: Generation) -> None:
        generation.is_interrupted = True
        for sequence_id in generation.sequence_ids:
            self._abort(sequence_id)
