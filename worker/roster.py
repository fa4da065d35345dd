"""The generations that are running here, for whoever has to stop them."""

import threading
from collections.abc import Callable
from uuid import UUID

from models.stored import StoredResponse
from worker.generation import Generation


class Roster:
    """Who is running. Closed once, when the worker stops; no generation enters after."""

    def __init__(self) -> None:
        self._running: dict[UUID, Generation] = {}
        self._changed = threading.Condition()
        self.is_closed = False
        self._abort: Callable[[str], None] = lambda _: None

    def bind(self, abort: Callable[[str], None]) -> None:
        """Say how a sequence is aborted."""
        self._abort = abort

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

    def close(self) -> None:
        """Let no more generations in."""
        with self._changed:
            self.is_closed = True

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing runs; False if the time is up first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    def release_all(self) -> list[StoredResponse]:
        """Stop everything without ending it; the rows are for another worker to take."""
        with self._changed:
            released = list(self._running.values())
        for generation in released:
            generation.is_released = True
            self._abort_all(generation)
        return [generation.stored for generation in released]

    def _abort_all(self, generation: Generation) -> None:
        for sequence_id in generation.sequence_ids:
            self._abort(sequence_id)
