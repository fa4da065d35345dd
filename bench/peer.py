"""The peer that we compare with: transformers' own server with its continuous batching.

It runs in an environment of its own, `make peers`, which borrows torch and transformers from ours:
the same build, the same weights, the same type, one thread for tensors as our worker has here.
"""

import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from bench.server import ROOT, BenchError
from cli.embedded.ports import free_port

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
START_S = 180.0
STOP_S = 30.0
_POLL_S = 0.2
# Without a number of blocks it takes three fifths of the memory; 16,384 tokens are enough here.
_OPTIONS = (
    *("--continuous-batching", "--cb-block-size", "32", "--cb-num-blocks", "512"),
    *("--cb-max-batch-tokens", "512", "--device", "cpu"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running server of transformers."""

    address: tuple[str, int]
    pid: int
    model: str

    def body(self, ours: bytes) -> bytes:
        """One of our greedy requests as it understands it: greedy is its default."""
        fields = orjson.loads(ours)
        asked = {name: fields[name] for name in ("input", "max_output_tokens", "stream")}
        return orjson.dumps(asked | {"model": self.model})


@contextmanager
def running_peer(weights: Path, dtype: str, num_threads: int) -> Iterator[Peer]:
    """Start the peer on a folder of weights; stop it after."""
    if not PYTHON.exists():
        raise BenchError("the peer is not installed: make peers")
    port = free_port()
    command = [str(PYTHON), "-m", "transformers.cli.transformers", "serve", str(weights.resolve())]
    command += [*_OPTIONS, "--dtype", dtype, "--host", "127.0.0.1", "--port", str(port)]
    environment = dict(os.environ) | {"OMP_NUM_THREADS": str(num_threads), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
        )
        try:
            _wait_ready(f"http://127.0.0.1:{port}/health", process)
            model = str(weights.resolve())
            yield Peer(address=("127.0.0.1", port), pid=process.pid, model=model)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)


def tree_cpu_s(pid: int) -> float:
    """Seconds of CPU of a process and all below it, those that have ended included."""
    root = psutil.Process(pid)
    total = 0.0
    for each in [root, *root.children(recursive=True)]:
        try:
            total += sum(each.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def _wait_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError("the peer does not come up")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_POLL_S)
