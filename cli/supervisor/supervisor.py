"""Supervisor of child processes: starts, restarts and stops them in order, whatever they do."""

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from subprocess import Popen
from types import FrameType, TracebackType
from typing import Self

from cli.supervisor.backoff import Backoff
from cli.supervisor.processes import Program, describe_exit, kill_group, spawn, stop_all, tail
from cli.supervisor.run_folder import RunFolder

logger = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_S = 0.2
"""Seconds between two readiness checks."""
PULSE_EVERY_S = 1.0
"""Seconds between two checks of a child's liveness file."""
MAX_SILENT_CHECKS = 7
"""Consecutive checks without a change of the liveness file after which a child is killed.

A number of checks and not a time: after a suspend of the whole machine no child has hung.
"""

OnDeath = Callable[[Program, int, int], None]
"""Callback for a child that ended, with its pid and its return code; must not block."""


class StopRequested(Exception):  # noqa: N818 - not an error
    """Request to stop, received as a signal from the user or the system."""


class ChildFailedError(Exception):
    """Failure of a child that others need; the message contains the end of its log."""


@dataclass(slots=True)
class _Child:
    program: Program
    process: Popen[bytes]
    started_at: float
    restart_at: float | None = None
    """Time of the next start, by the monotonic clock in seconds; None while the child runs."""
    pulse_checked_at: float = 0.0
    """Time of the last check of the liveness file, by the monotonic clock in seconds."""
    pulse: int | None = None
    """Modification time of the liveness file at the last check, in ns; None before the first."""
    num_silent_checks: int = 0
    """Number of consecutive checks that found the liveness file unchanged."""
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Single-threaded supervisor, active only inside `wait`, `run_once` and `run_forever`.

    As a context manager it handles the stop signals and, on exit, stops its children in reverse
    order of their start. A second Ctrl-C kills them instead of waiting.
    """

    def __init__(
        self,
        folder: RunFolder,
        on_death: OnDeath = lambda *_: None,
        *,
        pulse_every_s: float = PULSE_EVERY_S,
    ) -> None:
        self._folder = folder
        self._on_death = on_death
        self._pulse_every_s = pulse_every_s
        self._stages: list[list[_Child]] = []
        self._must_stop = False
        self._num_interrupts = 0
        self._wakeup_reader, self._wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup_writer, False)  # required by set_wakeup_fd

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        handlers = dict.fromkeys(_STOP_SIGNALS, self._note_stop_signal)
        # Python writes to the wake-up pipe only for signals that have a handler.
        handlers[signal.SIGCHLD] = _ignore
        self._previous_handlers = {
            number: signal.signal(number, do) for number, do in handlers.items()
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_children()
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        os.close(self._wakeup_reader)
        os.close(self._wakeup_writer)

    def start(self, *programs: Program) -> None:
        """Start programs that depend on all those started before; they are stopped together."""
        stage: list[_Child] = []
        self._stages.append(stage)
        for program in programs:
            stage.append(_Child(program, self._spawn(program), time.monotonic()))

    def wait(self, is_ready: Callable[[], bool], *, max_crashes: int) -> None:
        """Wait until `is_ready`; raise `ChildFailedError` if a child crashes `max_crashes` times.

        Raises `StopRequested` on a stop signal, as `run_once` and `run_forever` do.
        """
        while not is_ready():
            self._tick(_POLL_S)
            for child in self._children:
                if child.backoff.num_crashes >= max_crashes:
                    raise ChildFailedError(self._describe_failure(child.program))
        for child in self._children:
            child.backoff.num_crashes = 0

    def run_once(self, program: Program, *, inherits_output: bool = False) -> None:
        """Run a program to its end; raise `ChildFailedError` unless its exit code is 0."""
        process = spawn(program, None if inherits_output else self._folder.log_path(program.name))
        try:
            while process.poll() is None:
                self._tick(_POLL_S)
        finally:
            stop_all([(program, process)], self._is_hurried)
        if process.returncode != 0:
            exit_text = describe_exit(process.returncode)
            detail = "" if inherits_output else f"\n{self._describe_failure(program)}"
            raise ChildFailedError(f"{program.name} {exit_text}{detail}")

    def run_forever(self) -> None:
        """Restart children that end until a stop signal raises `StopRequested`."""
        while True:
            self._tick(None)

    @property
    def _children(self) -> Iterable[_Child]:
        return (child for stage in self._stages for child in stage)

    def _tick(self, timeout_s: float | None) -> None:
        """Sleep until a signal, a due restart or check, or the timeout; then check the children."""
        due = [child.restart_at for child in self._children if child.restart_at is not None]
        if any(child.program.pulse is not None for child in self._children):
            due.append(time.monotonic() + self._pulse_every_s)
        if due:
            until_due_s = max(0.0, min(due) - time.monotonic())
            timeout_s = until_due_s if timeout_s is None else min(timeout_s, until_due_s)
        if select.select([self._wakeup_reader], [], [], timeout_s)[0]:
            os.read(self._wakeup_reader, 4096)
        if self._must_stop:
            raise StopRequested
        for child in self._children:
            self._check_child(child)
        self._folder.rotate_logs()

    def _check_child(self, child: _Child) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            returncode = child.process.poll()
            if returncode is None:
                self._check_pulse(child, now)
                return
            kill_group(child.process)
            self._on_death(child.program, child.process.pid, returncode)
            delay_s = child.backoff.next_delay_s(now - child.started_at)
            child.restart_at = now + delay_s
            self._folder.remove_pid(child.program.name)
            exit_text = describe_exit(returncode)
            logger.warning("%s %s; restart in %.1f s", child.program.name, exit_text, delay_s)
        if child.restart_at <= now:
            child.process = self._spawn(child.program)
            child.started_at, child.restart_at = now, None
            child.pulse, child.num_silent_checks = None, 0

    def _check_pulse(self, child: _Child, now: float) -> None:
        """Kill a child whose liveness file no longer changes: it is stopped, or hangs."""
        program = child.program
        if program.pulse is None or now - child.pulse_checked_at < self._pulse_every_s:
            return
        child.pulse_checked_at = now
        try:
            pulse = program.pulse.stat().st_mtime_ns
        except FileNotFoundError:
            return  # it is still loading
        child.num_silent_checks = child.num_silent_checks + 1 if pulse == child.pulse else 0
        child.pulse = pulse
        if child.num_silent_checks >= MAX_SILENT_CHECKS:
            logger.error("%s hangs, pid %d; killed", program.name, child.process.pid)
            kill_group(child.process)

    def _spawn(self, program: Program) -> Popen[bytes]:
        if program.pulse is not None:
            program.pulse.unlink(missing_ok=True)
        process = spawn(program, self._folder.log_path(program.name))
        self._folder.write_pid(program.name, process.pid)
        logger.info("%s started, pid %d", program.name, process.pid)
        return process

    def _stop_children(self) -> None:
        for stage in reversed(self._stages):
            running = [child for child in stage if child.restart_at is None]
            stop_all([(child.program, child.process) for child in running], self._is_hurried)
            for child in stage:
                logger.info("%s stopped", child.program.name)
                self._folder.remove_pid(child.program.name)

    def _describe_failure(self, program: Program) -> str:
        log = self._folder.log_path(program.name)
        return f"{program.name} does not come up; the end of {log}:\n{tail(log)}"

    def _note_stop_signal(self, number: int, frame: FrameType | None) -> None:
        self._must_stop = True
        # SIGTERM does not count: make and systemd may send it twice.
        self._num_interrupts += number == signal.SIGINT

    def _is_hurried(self) -> bool:
        return self._num_interrupts > 1


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: a signal must have a handler to wake the loop through the wake-up pipe."""
