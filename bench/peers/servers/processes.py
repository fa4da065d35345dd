"""Processes of peers: started with all that they need, ended with all that they started."""

import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.server import ROOT, BenchError

START_S = 900.0
"""Some compile, or read weights of gigabytes."""
_STOP_S = 30.0
_POLL_S = 0.2
_TAIL_BYTES = 4000

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and the file that its words go to."""

    process: Process
    words: Path

    def failure(self, what: str) -> BenchError:
        """An error that ends with the last that the process said."""
        lines = self.words.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if "Error" in line] or lines
        return BenchError(f"{what}: {said[-1] if said else 'it said nothing'}")


@contextmanager
def child(
    command: Sequence[str | Path], variables: Mapping[str, str], *, is_piped: bool = False
) -> Iterator[Child]:
    """Run a command with more in its environment; end it and all below it after."""
    pipe = subprocess.PIPE if is_piped else None
    with tempfile.NamedTemporaryFile() as words:
        process = subprocess.Popen(
            command,
            env=dict(os.environ) | dict(variables),
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe or words,
            stderr=words,
            start_new_session=True,
        )
        try:
            yield Child(process, Path(words.name))
        finally:
            _end(process)


def wait_until_up(url: str, started: Child) -> None:
    """Return once `url` answers; raises `BenchError` if that does not come."""
    deadline = time.monotonic() + START_S
    while not _answers(url):
        if started.process.poll() is not None:
            raise started.failure("it ended while starting")
        if time.monotonic() > deadline:
            raise started.failure(f"not up after {START_S:.0f} s")
        time.sleep(_POLL_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _end(process: Process) -> None:
    for pipe in (process.stdin, process.stdout):
        _close(pipe)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    # Its session is its own: whoever is left in it was started by it.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(BrokenPipeError):
            pipe.close()
