"""What both embedded servers share: start, wait until ready, stop."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import ClassVar, Self

from cli.supervisor.processes import Program, spawn, stop_all, tail

READY_TIMEOUT_S = 20.0
"""A server whose last owner was just killed may be refused its own files for some seconds."""


class EmbeddedServerError(Exception):
    """An embedded server could not be set up or started; the message holds its last words."""


class EmbeddedServer(ABC):
    """One server child on a free loopback port; a context manager that starts and stops it.

    The port is chosen once: a restart of the same object keeps the URL.
    """

    name: ClassVar[str]
    process: Popen[bytes] | None = None

    def __init__(self, log: Path) -> None:
        self.log = log

    @property
    @abstractmethod
    def url(self) -> str:
        """The address with its credentials; valid after `prepare`."""

    @property
    @abstractmethod
    def program(self) -> Program:
        """How to run the server in the foreground; valid after `prepare`."""

    @abstractmethod
    def prepare(self) -> None:
        """Create what the first start needs; does nothing when that is there."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers its owner."""

    def start(self) -> None:
        """Start and wait until ready; raises `EmbeddedServerError`."""
        self.prepare()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._is_ready_after_spawn(deadline):
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServerError(f"{self.name} did not start\n{tail(self.log)}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop and wait; does nothing when it is not running."""
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
