"""The engine thread: takes submits and aborts between steps, delivers deltas, survives faults.

Knows nothing of what a step does; the engines built on it do.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from queue import SimpleQueue
from threading import Event, Lock, Thread

from worker.engine.interface import (
    Delta,
    EngineStoppedError,
    FinishReason,
    GenerationRequest,
    StepListener,
)
from worker.engine.sequence import Sequence, SequenceStatus

logger = logging.getLogger(__name__)

STEP_LIMIT_S = 10.0
"""A step of decodes that takes longer, and many times as long as any before, hangs."""
PROMPT_LIMIT_S = 300.0
"""The same for a step that computes prompts, and for the first steps, which may compile."""
_LIMIT_FACTOR = 5
_NUM_FIRST_STEPS = 5

Command = Callable[[], list[Delta]]


class EngineLoop(ABC):
    """The part of `Engine` that does not depend on how tokens come about.

    Every submitted sequence ends with exactly one delta that carries a finish reason.
    """

    def __init__(self, on_step: StepListener) -> None:
        self._on_step = on_step
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._lock = Lock()
        self._live: dict[str, Sequence] = {}
        self._stepped_at = time.monotonic()
        self._num_steps = 0
        self._longest_step_s = 0.0
        self._has_prompts = False
        """Whether the step in progress computes more than a token of any sequence."""
        self._is_stopping = Event()
        self._is_lost = False
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine thread."""
        self._thread.start()

    def stop(self) -> None:
        """Abort every sequence and join the thread; idempotent."""
        with self._lock:
            self._is_stopping.set()
            self._commands.put(list)
        if self._thread.ident is None:
            self._run()
        else:
            self._thread.join()

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request; see `Engine.submit` for what it raises."""
        sequence = self._prepare(request)
        with self._lock:
            if self._is_stopping.is_set():
                raise EngineStoppedError("the engine has been stopped")
            if self._is_lost:
                raise EngineStoppedError("the engine has lost its device")
            if sequence.id in self._live:
                raise ValueError(f"sequence id {sequence.id!r} is still in use")
            if not self._live:
                self._stepped_at = time.monotonic()
            self._live[sequence.id] = sequence
            self._commands.put(lambda: self._enter(sequence))

    def abort(self, sequence_id: str) -> None:
        """End a sequence at the next step with `ABORTED`; an unknown id is ignored."""
        self._commands.put(lambda: self._abort(sequence_id))

    @property
    def last_step_age_s(self) -> float | None:
        """Seconds since the last step ended or work arrived; None while idle."""
        return time.monotonic() - self._stepped_at if self._live else None

    @property
    def is_stuck(self) -> bool:
        """Whether the step in progress takes longer than any that does its work should."""
        age_s = self.last_step_age_s
        if age_s is None or self._is_stopping.is_set() or self._thread.ident is None:
            return False
        if self._has_prompts or self._num_steps < _NUM_FIRST_STEPS:
            limit_s = PROMPT_LIMIT_S
        else:
            limit_s = max(STEP_LIMIT_S, _LIMIT_FACTOR * self._longest_step_s)
        return age_s > limit_s

    @property
    def is_lost(self) -> bool:
        """Whether the device has failed, so that this process can compute nothing any more.

        What is running then gets no more deltas, not even its last, until the engine is stopped.
        """
        return self._is_lost

    @property
    def num_running(self) -> int:
        """Sequences in the batch."""
        return len(self._running())

    @property
    def num_waiting(self) -> int:
        """Sequences submitted and not in the batch yet."""
        return max(0, len(self._live) - self.num_running)

    @abstractmethod
    def _prepare(self, request: GenerationRequest) -> Sequence:
        """Check a request and make its sequence, on the caller's thread."""

    @abstractmethod
    def _enter(self, sequence: Sequence) -> list[Delta]:
        """Take a sequence in; return its delta if it ends at once."""

    @abstractmethod
    def _remove(self, sequence: Sequence) -> None:
        """Let go of a sequence and mark it finished, whether it has entered or not."""

    @abstractmethod
    def _running(self) -> Collection[Sequence]:
        """The sequences in the batch."""

    @abstractmethod
    def _step(self) -> list[Delta]:
        """Advance the batch once; a sequence whose delta is its last is already removed."""

    def _makes_room(self, _error: Exception) -> bool:
        """Whether the step was only too large, and the next will be smaller."""
        return False

    def _loses_device(self, _error: Exception) -> bool:
        """Whether no step can succeed after this error."""
        return False

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            if self._is_lost:
                self._is_stopping.wait()
                break
            deltas = self._apply_commands()
            deltas += self._guarded_step()
            self._deliver(deltas)
        self._deliver(self._end_all(FinishReason.ABORTED, self._live.values()))

    def _apply_commands(self) -> list[Delta]:
        """Run all commands that have come; when there is nothing to generate, wait for one."""
        with self._lock:
            is_idle = not self._live
        commands = [self._commands.get()] if is_idle else []
        while not self._commands.empty():
            commands.append(self._commands.get())
        return [delta for command in commands for delta in command()]

    def _guarded_step(self) -> list[Delta]:
        began = time.monotonic()
        try:
            deltas = self._step()
        except Exception as error:
            return self._after_fault(error)
        if deltas and not self._has_prompts:
            self._num_steps += 1
            self._longest_step_s = max(self._longest_step_s, time.monotonic() - began)
        return deltas

    def _after_fault(self, error: Exception) -> list[Delta]:
        """Go on with less, give up for good, or end what was running: never raises."""
        num_running = self.num_running
        if self._makes_room(error):
            logger.warning("engine step too large", extra={"num_running": num_running})
            return []
        logger.error("engine step failed", exc_info=error, extra={"num_running": num_running})
        if self._loses_device(error):
            self._is_lost = True
            return []
        # With nothing running the fault is in choosing what to run: nothing would ever end.
        victims = self._running() or self._live.values()
        return self._end_all(FinishReason.ERROR, victims, f"{type(error).__name__}: {error}")

    def _end_all(
        self, reason: FinishReason, sequences: Collection[Sequence], error: str | None = None
    ) -> list[Delta]:
        # A sequence that ended in this very turn is live until its delta has been delivered.
        ended = [each for each in list(sequences) if each.status is not SequenceStatus.FINISHED]
        for sequence in ended:
            self._remove(sequence)
        return [sequence.delta(None, reason, error) for sequence in ended]

    def _abort(self, sequence_id: str) -> list[Delta]:
        sequence = self._live.get(sequence_id)
        return self._end_all(FinishReason.ABORTED, [sequence] if sequence else [])

    def _deliver(self, deltas: list[Delta]) -> None:
        with self._lock:
            for delta in deltas:
                if delta.finish_reason is not None:
                    self._live.pop(delta.sequence_id, None)
            self._stepped_at = time.monotonic()
        if not deltas:
            return
        try:
            self._on_step(deltas)
        except Exception:
            logger.exception("step listener failed", extra={"num_deltas": len(deltas)})
