"""The fork server as a child process: started when it is needed, and again if it has ended."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from models.grammars.isolation.tokenizer_file import NO_TOKENIZER, TokenizerFile

_ROOT = Path(__file__).parents[3]
_STOP_S = 2.0
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""The fork server has one thread. It inherits no variables: they have secrets."""


class ServerProcess:
    """Client of a fork server; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Process id, or None before the start."""
        return None if self._process is None else self._process.pid

    def fork(self, tokenizer: TokenizerFile | None) -> socket.socket:
        """Fork a child that has the tokenizer; return the connection to it.

        Raises `OSError` if the server ends again and again.
        """
        ours, theirs = socket.socketpair()
        key = NO_TOKENIZER if tokenizer is None else tokenizer.key
        with theirs, self._lock:
            descriptors = [theirs.fileno()]
            descriptors += [] if tokenizer is None else [tokenizer.fileno()]
            try:
                socket.send_fds(self._running(), [key], descriptors)
            except OSError:
                self._stop()
                socket.send_fds(self._running(), [key], descriptors)
        return ours

    def stop(self) -> None:
        """End the server and its children; the next `fork` starts another."""
        with self._lock:
            self._stop()

    def _running(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = _start(theirs)
        return self._control

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


def _start(control: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "models.grammars.isolation.fork_server", str(control.fileno())],
        cwd=_ROOT,
        env={**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[control.fileno()],
        start_new_session=True,
    )
