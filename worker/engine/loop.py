"""Engine thread: applies submits and aborts between steps, delivers deltas, handles step errors.

Subclasses implement the step itself.
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
from worker.engine.resident_memory import resident_bytes
from worker.engine.sequence import Sequence, SequenceStatus

logger = logging.getLogger(__name__)

STEP_LIMIT_S = 10.0
"""Seconds after which a decode step counts as hung, if far slower than any before."""
PROMPT_LIMIT_S = 300.0
"""Seconds after which a step with prompts, or one of the first, which may compile, is hung."""
_LIMIT_FACTOR = 5
"""Multiple of the longest decode step so far that a hung step must exceed."""
_NUM_FIRST_STEPS = 5

Command = Callable[[], list[Delta]]


class EngineLoop(ABC):
    """Base class of engines: everything in `Engine` that is independent of the model.

    Every submitted sequence ends with exactly one delta that carries a finish reason.
    """

    def __init__(self, on_step: StepListener, *, step_limit_s: float = STEP_LIMIT_S) -> None:
        """Create an engine whose decode steps may take `step_limit_s` seconds before they hang."""
        self._on_step = on_step
        self._step_limit_s = step_limit_s
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._lock = Lock()
        self._live: dict[str, Sequence] = {}
        self._stepped_at = time.monotonic()
        self._num_steps = 0
        self._longest_step_s = 0.0
        self._has_prompts = False
        """True while the current step computes more than one token of any sequence."""
        self._is_stopping = Event()
        self._is_lost = False
        self._thread = Thread(target=self._run_or_lose, name="engine", daemon=True)

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
        """Queue a request; see `Engine.submit` for the errors raised."""
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
    def reads_images(self) -> bool:
        """Return True if prompts may have images."""
        return False

    @property
    def last_step_age_s(self) -> float | None:
        """Seconds since the last step ended or work arrived; None while idle."""
        return time.monotonic() - self._stepped_at if self._live else None

    @property
    def is_stuck(self) -> bool:
        """Return True if the current step has exceeded the hang timeout."""
        age_s = self.last_step_age_s
        if age_s is None or self._is_stopping.is_set() or self._thread.ident is None:
            return False
        if self._has_prompts or self._num_steps < _NUM_FIRST_STEPS:
            limit_s = PROMPT_LIMIT_S
        else:
            limit_s = max(self._step_limit_s, _LIMIT_FACTOR * self._longest_step_s)
        return age_s > limit_s

    @property
    def is_lost(self) -> bool:
        """Return True if this process can compute nothing any more: its device or thread failed.

        Running sequences then get no more deltas, not even the last, until the engine is stopped.
        """
        return self._is_lost

    @property
    def num_running(self) -> int:
        """Number of sequences in the batch."""
        return len(self._running())

    @property
    def num_waiting(self) -> int:
        """Number of sequences submitted and not in the batch yet."""
        return max(0, len(self._live) - self.num_running)

    def device_memory(self) -> tuple[str, int]:
        """Return the type of its device, and the bytes that this process holds on it."""
        return "cpu", resident_bytes()

    @abstractmethod
    def _prepare(self, request: GenerationRequest) -> Sequence:
        """Validate a request and create its sequence, on the caller's thread."""

    @abstractmethod
    def _enter(self, sequence: Sequence) -> list[Delta]:
        """Queue a sequence on the engine thread; return its delta if it ends immediately."""

    @abstractmethod
    def _remove(self, sequence: Sequence) -> None:
        """Release a sequence and mark it finished, whether it was queued or not."""

    @abstractmethod
    def _running(self) -> Collection[Sequence]:
        """Return the sequences in the batch."""

    @abstractmethod
    def _step(self) -> list[Delta]:
        """Run one step and return its deltas; sequences that end in it are already removed."""

    def _reduce_load(self, _error: Exception) -> bool:
        """Make the next step smaller if this one ran out of memory; return True on success."""
        return False

    def _is_device_lost(self, _error: Exception) -> bool:
        """Return True if no step can succeed after this error."""
        return False

    def _run_or_lose(self) -> None:
        try:
            self._run()
        except BaseException:
            self._is_lost = True
            logger.critical("engine thread lost", exc_info=True)

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            if self._is_lost:
                self._is_stopping.wait()
                break
            deltas = self._apply_commands()
            deltas += self._try_step()
            self._deliver(deltas)
        self._deliver(self._end_all(FinishReason.ABORTED, self._live.values()))

    def _apply_commands(self) -> list[Delta]:
        """Run all queued commands; wait for one if there is nothing to generate."""
        with self._lock:
            is_idle = not self._live
        commands = [self._commands.get()] if is_idle else []
        while not self._commands.empty():
            commands.append(self._commands.get())
        return [delta for command in commands for delta in command()]

    def _try_step(self) -> list[Delta]:
        began = time.monotonic()
        try:
            deltas = self._step()
        except Exception as error:
            return self._handle_step_error(error)
        if deltas and not self._has_prompts:
            self._num_steps += 1
            self._longest_step_s = max(self._longest_step_s, time.monotonic() - began)
        return deltas

    def _handle_step_error(self, error: Exception) -> list[Delta]:
        """Shrink the batch, mark the device as lost, or fail the running sequences; never raise."""
        num_running = self.num_running
        if self._reduce_load(error):
            logger.warning("engine step too large", extra={"num_running": num_running})
            return []
        logger.error("engine step failed", exc_info=error, extra={"num_running": num_running})
        if self._is_device_lost(error):
            self._is_lost = True
            return []
        # With an empty batch the error is in scheduling: without this no sequence would ever end.
        failed = self._running() or self._live.values()
        return self._end_all(FinishReason.ERROR, failed, f"{type(error).__name__}: {error}")

    def _end_all(
        self, reason: FinishReason, sequences: Collection[Sequence], error: str | None = None
    ) -> list[Delta]:
        # A sequence that ended in this iteration stays in `_live` until its delta is delivered.
        ended = [
            sequence
            for sequence in list(sequences)
            if sequence.status is not SequenceStatus.FINISHED
        ]
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
