"""Emitter thread that turns the engine's deltas into events, logged in one round trip a step."""

import logging
import queue
import time
from collections.abc import Callable, Iterable
from uuid import UUID

from models.streams.event_log import AppendResult, EventLog
from models.vital_thread import VitalThread
from worker.engine.interface import Delta
from worker.generation.generation import Generation
from worker.generation.step_meter import StepMeter

logger = logging.getLogger(__name__)

_MAX_MORE_STEPS = 7
"""Most further steps per round trip; bounds the delay of the first step's events."""

_MAX_RESPONSES = 64
"""Most responses per round trip: readers get these while the events of the next are made."""


class Emitter:
    """Buffer between Redis and the engine thread, which must not block.

    It owns every generation from `add` until it has ended. The generation's task thread sleeps
    meanwhile: waking a thread for each token would only contend for the interpreter lock.
    """

    def __init__(self, log: EventLog, meter: StepMeter | None = None) -> None:
        self._log = log
        self._meter = meter or StepMeter()
        self._steps: queue.SimpleQueue[tuple[list[Delta], float] | None] = queue.SimpleQueue()
        """Deltas of each step, and the monotonic time at which it ended."""
        self._generations: dict[str, Generation] = {}
        self._thread = VitalThread("emitter", self._run)
        self._abort: Callable[[str], None] = lambda _: None

    def start(self, abort: Callable[[str], None]) -> None:
        """Start the thread; `abort` stops a sequence that reached a stop string."""
        self._abort = abort
        self._thread.start()

    def stop(self) -> None:
        """Emit the deltas that the engine has delivered, then end the thread."""
        self._steps.put(None)
        self._thread.join()

    def add(self, generation: Generation) -> None:
        """Take ownership of a generation, before it is submitted to the engine."""
        for sequence_id in generation.sequence_ids:
            self._generations[sequence_id] = generation
        expected = [choice.sequence_id for choice in generation.choices if choice.is_generating]
        self._meter.expect(generation, expected)

    def on_step(self, deltas: list[Delta]) -> None:
        """Queue the deltas of a step; the engine calls this on its own thread."""
        self._steps.put((deltas, time.monotonic()))

    def _run(self) -> None:
        while (step := self._steps.get()) is not None:
            deltas = self._measured(step)
            # Steps that have queued up meanwhile share one round trip.
            for _ in range(min(self._steps.qsize(), _MAX_MORE_STEPS)):
                more = self._steps.get()
                if more is None:
                    self.emit(deltas)
                    return
                deltas = deltas + self._measured(more)
            self.emit(deltas)

    def _measured(self, step: tuple[list[Delta], float]) -> list[Delta]:
        self._meter.note_step(*step)
        return step[0]

    def emit(self, deltas: list[Delta]) -> None:
        """Turn deltas into events and log them in one round trip, or in a few if they are many."""
        updated: dict[UUID, Generation] = {}
        ended: dict[UUID, Generation] = {}
        for delta in deltas:
            generation = self._generations.get(delta.sequence_id)
            if generation is None:
                continue
            response_id = generation.record.id
            if len(updated) == _MAX_RESPONSES and response_id not in updated:
                self._publish(updated, ended)
                updated, ended = {}, {}
            updated[response_id] = generation
            if self._advance(generation, delta):
                ended[response_id] = generation
                for sequence_id in generation.sequence_ids:
                    self._generations.pop(sequence_id, None)
            if generation.may_have_unwanted:
                for sequence_id in generation.pop_unwanted():
                    self._abort(sequence_id)
        self._publish(updated, ended)

    def _publish(self, updated: dict[UUID, Generation], ended: dict[UUID, Generation]) -> None:
        self._log_pending(updated.values())
        for generation in ended.values():
            generation.end()

    def _advance(self, generation: Generation, delta: Delta) -> bool:
        """Advance a generation; an exception ends its response and no other."""
        try:
            return generation.advance(delta)
        except Exception:
            logger.exception("events not made", extra={"response_id": generation.record.id.hex})
            generation.fail()
            return True

    def _log_pending(self, generations: Iterable[Generation]) -> None:
        recorders = [generation.recorder for generation in generations]
        pairs = [(recorder, append) for recorder in recorders if (append := recorder.pending())]
        if not pairs:
            return
        results = self._log.append([append for _, append in pairs])
        for (recorder, append), result in zip(pairs, results, strict=True):
            recorder.apply_result(append, result)
            if result is AppendResult.LOST:
                recorder.flush()
        for generation in generations:
            if generation.recorder.is_stale and not generation.is_released:
                generation.is_released = True
                for sequence_id in generation.sequence_ids:
                    self._abort(sequence_id)
