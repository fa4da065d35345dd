"""Child processes of peers, which are ended together with their descendants."""

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
"""Seconds to wait for a peer to start: some compile, or load gigabytes of weights."""
_STOP_S = 30.0
_POLL_S = 0.2
_TAIL_BYTES = 4000

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Child:
    """Running process and the file with its output."""

    process: Process
    output: Path

    def failure(self, what: str) -> BenchError:
        """Return an error that ends with the last error line, or last line, of the output."""
        lines = self.output.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()
        errors = [line.strip() for line in lines if "Error" in line] or lines
        return BenchError(f"{what}: {errors[-1] if errors else 'it said nothing'}")


@contextmanager
def run_child(
    command: Sequence[str | Path], variables: Mapping[str, str], *, is_piped: bool = False
) -> Iterator[Child]:
    """Run a command with further environment variables; end it and its descendants after.

    With `is_piped`, standard input and output are pipes.
    """
    pipe = subprocess.PIPE if is_piped else None
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env=dict(os.environ) | dict(variables),
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe or output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield Child(process, Path(output.name))
        finally:
            _end(process)


def wait_until_up(url: str, started: Child) -> None:
    """Return once `url` answers; raise `BenchError` if the process ends or takes too long."""
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
    # It has a session of its own, so that all processes left in its group are its descendants.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(BrokenPipeError):
            pipe.close()
