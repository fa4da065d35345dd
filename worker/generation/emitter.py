"""The emitter thread: deltas of the engine become events, logged in one round trip a step."""

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from uuid import UUID

from models.streams.event_log import AppendResult, EventLog
from worker.engine.interface import Delta
from worker.generation.generation import Generation

logger = logging.getLogger(__name__)

_MAX_MORE_STEPS = 7
"""Bounds how long the first of several steps waits for the others to be made into events."""

_MAX_TOGETHER = 64
"""Responses that share a round trip: they reach their readers while the next become events."""


class Emitter:
    """Stands between the engine thread, which must not wait, and Redis.

    Owns every generation from `add` until it has ended. A task thread sleeps meanwhile: waking
    one for each token would spend the interpreter's lock on nothing.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._steps: queue.SimpleQueue[list[Delta] | None] = queue.SimpleQueue()
        self._generations: dict[str, Generation] = {}
        self._thread = threading.Thread(target=self._run, name="emitter", daemon=True)
        self._abort: Callable[[str], None] = lambda _: None

    def start(self, abort: Callable[[str], None]) -> None:
        """Begin; `abort` stops a sequence that reached a stop string."""
        self._abort = abort
        self._thread.start()

    def stop(self) -> None:
        """Emit what the engine has delivered, then end the thread."""
        self._steps.put(None)
        self._thread.join()

    def add(self, generation: Generation) -> None:
        """Take over a generation, before it is submitted to the engine."""
        for sequence_id in generation.sequence_ids:
            self._generations[sequence_id] = generation

    def on_step(self, deltas: list[Delta]) -> None:
        """The engine's listener: hand a step over, on the engine thread."""
        self._steps.put(deltas)

    def _run(self) -> None:
        while (deltas := self._steps.get()) is not None:
            # Steps that have come meanwhile share the round trip: the busier, the fewer.
            for _ in range(min(self._steps.qsize(), _MAX_MORE_STEPS)):
                more = self._steps.get()
                if more is None:
                    self._emit(deltas)
                    return
                deltas = deltas + more
            self._emit(deltas)

    def _emit(self, deltas: list[Delta]) -> None:
        touched: dict[UUID, Generation] = {}
        ended: dict[UUID, Generation] = {}
        for delta in deltas:
            generation = self._generations.get(delta.sequence_id)
            if generation is None:
                continue
            response_id = generation.stored.id
            if len(touched) == _MAX_TOGETHER and response_id not in touched:
                self._settle(touched, ended)
                touched, ended = {}, {}
            touched[response_id] = generation
            if self._advance(generation, delta):
                ended[response_id] = generation
                for sequence_id in generation.sequence_ids:
                    self._generations.pop(sequence_id, None)
            for sequence_id in generation.take_unwanted():
                self._abort(sequence_id)
        self._settle(touched, ended)

    def _settle(self, touched: dict[UUID, Generation], ended: dict[UUID, Generation]) -> None:
        self._log_pending(touched.values())
        for generation in ended.values():
            generation.end()

    def _advance(self, generation: Generation, delta: Delta) -> bool:
        """One response's fault ends that response and no other."""
        try:
            return generation.advance(delta)
        except Exception:
            logger.exception("events not made", extra={"response_id": generation.stored.id.hex})
            generation.fail()
            return True

    def _log_pending(self, generations: Iterable[Generation]) -> None:
        recorders = [generation.recorder for generation in generations]
        pairs = [(each, append) for each in recorders if (append := each.pending())]
        if not pairs:
            return
        results = self._log.append([append for _, append in pairs])
        for (recorder, append), result in zip(pairs, results, strict=True):
            recorder.settle(append, result)
            if result is AppendResult.LOST:
                recorder.flush()
        for generation in generations:
            if generation.recorder.is_stale and not generation.is_released:
                generation.is_released = True
                for sequence_id in generation.sequence_ids:
                    self._abort(sequence_id)
