"""The files by which operators and scripts find the running processes; starts none of them."""

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.secret import write_private


class AlreadyRunningError(Exception):
    """Another supervisor holds the data folder."""


class RunFolder:
    """`run/` (lock, pid files, addresses) and `log/` of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._run = data_dir / "run"
        self._log = data_dir / "log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the data folder for this process; raises `AlreadyRunningError`.

        The lock goes with the process: a killed supervisor leaves none.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        self._log.mkdir(exist_ok=True)
        with (self._run / "supervisor.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(self._describe_owner()) from None
            self._remove_leftovers()
            self.write_pid("supervisor", os.getpid())
            try:
                yield
            finally:
                self._remove_leftovers()

    def write_pid(self, name: str, pid: int) -> None:
        """Replace `<name>.pid`; a reader never sees half of it."""
        draft = self._run / f"{name}.pid.new"
        draft.write_text(f"{pid}\n")
        draft.replace(self._run / f"{name}.pid")

    def remove_pid(self, name: str) -> None:
        """Remove `<name>.pid`, if it is there."""
        (self._run / f"{name}.pid").unlink(missing_ok=True)

    def write_env(self, variables: Mapping[str, str]) -> None:
        """Write the addresses in use, for `. run/env`; they hold passwords, so only for us."""
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
        write_private(self._run / "env", "".join(lines))

    def log_path(self, name: str) -> Path:
        """Where the process of this name logs to."""
        return self._log / f"{name}.log"

    def pulse_path(self, name: str) -> Path:
        """The file by which the process of this name shows that it is well."""
        return self._run / f"{name}.pulse"

    def _remove_leftovers(self) -> None:
        for path in (*self._run.glob("*.pid"), *self._run.glob("*.pulse"), self._run / "env"):
            path.unlink(missing_ok=True)

    def _describe_owner(self) -> str:
        pid, url = "unknown", ""
        if (self._run / "supervisor.pid").exists():
            pid = (self._run / "supervisor.pid").read_text().strip()
        if (self._run / "env").exists():
            lines = (self._run / "env").read_text().splitlines()
            url = "".join(f", {line[13:]}" for line in lines if line.startswith("ANTIPHON_URL="))
        return f"already running (pid {pid}){url}"
