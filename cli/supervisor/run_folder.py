"""Lock, pid and address files by which operators and scripts find the running processes."""

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.secret import write_private
from cli.supervisor.log_files import MAX_BYTES, rotate


def read_env(data_dir: Path) -> dict[str, str]:
    """Return the addresses that a running supervisor has written to `run/env`; none if none runs.

    It is readable by the owner of the processes only: to others none runs.
    """
    try:
        lines = (data_dir / "run" / "env").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


class AlreadyRunningError(Exception):
    """Another supervisor has locked the data folder."""


class RunFolder:
    """`run/` (lock, pid files, addresses) and `log/` of a data folder."""

    def __init__(self, data_dir: Path, *, max_log_bytes: int = MAX_BYTES) -> None:
        self._max_log_bytes = max_log_bytes
        self._run = data_dir / "run"
        self._log = data_dir / "log"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the data folder for this process; raise `AlreadyRunningError` if another holds it.

        The operating system releases the lock when the process ends, even if it is killed.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        self._log.mkdir(exist_ok=True)
        with (self._run / "supervisor.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(self._describe_owner()) from None
            self._remove_leftovers()
            self.write_pid("supervisor", os.getpid())
            try:
                yield
            finally:
                self._remove_leftovers()

    def write_pid(self, name: str, pid: int) -> None:
        """Write `<name>.pid` atomically."""
        new_file = self._run / f"{name}.pid.new"
        new_file.write_text(f"{pid}\n")
        new_file.replace(self._run / f"{name}.pid")

    def remove_pid(self, name: str) -> None:
        """Remove `<name>.pid` if it exists."""
        (self._run / f"{name}.pid").unlink(missing_ok=True)

    def write_env(self, variables: Mapping[str, str]) -> None:
        """Write the addresses in use as a shell script to `run/env`, readable by the owner only.

        The addresses contain passwords.
        """
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
        write_private(self._run / "env", "".join(lines))

    def log_path(self, name: str) -> Path:
        """Return the log file of the process of this name."""
        return self._log / f"{name}.log"

    def rotate_logs(self) -> None:
        """Rotate the log files that have become too large."""
        rotate(self._log, self._max_log_bytes)

    def pulse_path(self, name: str) -> Path:
        """Return the file that the process of this name touches to show that it is alive."""
        return self._run / f"{name}.pulse"

    def _remove_leftovers(self) -> None:
        for path in (*self._run.glob("*.pid"), *self._run.glob("*.pulse"), self._run / "env"):
            path.unlink(missing_ok=True)

    def _describe_owner(self) -> str:
        pid = "unknown"
        if (self._run / "supervisor.pid").exists():
            pid = (self._run / "supervisor.pid").read_text().strip()
        url = read_env(self._run.parent).get("ANTIPHON_URL")
        running = f"already running (pid {pid})" + (f", {url}" if url else "")
        return (
            f"{running}; use it, stop it (kill {pid}), or set ANTIPHON_DATA_DIR and ANTIPHON_PORT"
        )
