"""Starting and stopping one child process; knows nothing of what the child does."""

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
# Looked up before any fork: a child between fork and exec should do as little as possible.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user a child runs as."""

    uid: int
    gid: int


class AccountOptions(TypedDict, total=False):
    """The options of `subprocess` that switch the user."""

    user: int
    group: int
    extra_groups: list[int]
    cwd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How to run one child and how to stop it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    """None: the parent's environment."""
    account: Account | None = None
    """None: the parent's user."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    """How long the child may take to stop before it is killed."""
    pulse: Path | None = None
    """A file that the child touches while it is well: once it has begun to, it must go on."""


def spawn(program: Program, log: Path | None) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, its output appended to `log` (None: inherited).

    A Ctrl-C in the terminal does not reach it, so it can be stopped in order; on Linux it is
    stopped when its parent dies, however that happens.
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
    """The options of `subprocess` that run a child as `account`, in a folder it can enter."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": [], "cwd": "/"}


def stop_all(
    children: Sequence[tuple[Program, subprocess.Popen[bytes]]],
    is_hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Signal all children and wait for each; kill those past their time, or all if `is_hurried`."""
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
    """SIGKILL what is left of the child and of the processes it started in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of zombies.
        return


def describe_exit(returncode: int) -> str:
    """A sentence's end for people: `exited with code 1` or `was killed by SIGKILL`."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    return f"was killed by {signal.Signals(-returncode).name}"


def tail(log: Path, num_lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
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
        if os.getppid() != parent:  # the parent died before the call above
            os._exit(1)

    return set_death_signal
