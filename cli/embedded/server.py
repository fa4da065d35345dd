"""Base class of the embedded servers: start, wait until ready, stop."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import ClassVar, Self

from cli.supervisor.processes import Program, spawn, stop_all, tail

READY_TIMEOUT_S = 20.0
"""Seconds to wait for the server to become ready.

The files of a server that was just killed may stay locked for some seconds.
"""


class EmbeddedServerError(Exception):
    """Failure to set up or start an embedded server; the message contains the end of its log."""


class EmbeddedServer(ABC):
    """Server process on a free loopback port; as a context manager it starts and stops it.

    The port is chosen once: a restart of the same object keeps the URL.
    """

    name: ClassVar[str]
    process: Popen[bytes] | None = None

    def __init__(self, log: Path) -> None:
        self.log = log

    @property
    @abstractmethod
    def url(self) -> str:
        """Address with the credentials; valid after `prepare`."""

    @property
    @abstractmethod
    def program(self) -> Program:
        """Command that runs the server in the foreground; valid after `prepare`."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the files that the first start needs, unless they exist."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return True if the server accepts a connection."""

    def start(self, *, ready_timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start the server and wait until it is ready; raise `EmbeddedServerError` on a timeout."""
        self.prepare()
        deadline = time.monotonic() + ready_timeout_s
        while not self._is_ready_after_spawn(deadline):
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServerError(f"{self.name} did not start\n{tail(self.log)}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server and wait until it has ended; do nothing if it is not running."""
        if self.process:
            stop_all([(self.program, self.process)])
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _is_ready_after_spawn(self, deadline: float) -> bool:
        self.process = process = spawn(self.program, self.log)
        while process.poll() is None and time.monotonic() < deadline:
            if self.is_ready():
                return True
            time.sleep(0.02)
        return False
