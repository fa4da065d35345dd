"""Start and stop of one child process, whatever it runs."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
# Looked up before any fork: as little as possible should run between fork and exec.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """User and group that a child runs as."""

    uid: int
    gid: int


class AccountOptions(TypedDict, total=False):
    """Options of `subprocess.Popen` that switch the user."""

    user: int
    group: int
    extra_groups: list[int]
    cwd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Command, environment and stop options of one child process."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    """Environment variables; None inherits the parent's environment."""
    account: Account | None = None
    """User to run as; None keeps the parent's user."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    """Seconds that the child may take to stop before it is killed."""
    pulse: Path | None = None
    """Liveness file; a child that has touched it once must keep touching it, or it is killed."""


def spawn(program: Program, log: Path | None) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, its output appended to `log` (None: inherited).

    A Ctrl-C in the terminal does not reach it, so that children can be stopped in order. On Linux
    it is sent its stop signal when its parent dies, for whatever reason.
    """
    output = log.open("ab") if log else None
    try:
        return subprocess.Popen(
            program.argv,
            env=program.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            preexec_fn=_death_signal_setter(program.stop_signal),
            **account_options(program.account),
        )
    finally:
        if output:
            output.close()


def account_options(account: Account | None) -> AccountOptions:
    """Return the `Popen` options that run a child as `account`, in a folder that it can enter."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": [], "cwd": "/"}


def stop_all(
    children: Sequence[tuple[Program, subprocess.Popen[bytes]]],
    is_hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Send all children their stop signal and wait for them; kill those that exceed their timeout.

    As soon as `is_hurried` returns True, all that are left are killed.
    """
    started = time.monotonic()
    for program, process in children:
        if process.poll() is None:
            process.send_signal(program.stop_signal)
    for program, process in children:
        while process.poll() is None and not is_hurried():
            remaining_s = started + program.stop_timeout_s - time.monotonic()
            if remaining_s <= 0:
                break
            _wait(process, min(remaining_s, 0.1))
        kill_group(process)
        process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to the child's process group: the child and the processes that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of zombies.
        return


def describe_exit(returncode: int) -> str:
    """Return a predicate for messages: `exited with code 1` or `was killed by SIGKILL`."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    return f"was killed by {signal.Signals(-returncode).name}"


def tail(log: Path, num_lines: int = 15) -> str:
    """Return the last `num_lines` lines of a log, or an empty text if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-num_lines:])


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return


def _death_signal_setter(death_signal: signal.Signals) -> Callable[[], None] | None:
    if _PRCTL is None:
        return None
    prctl, parent = _PRCTL, os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)

    return set_death_signal
