"""The MCP server as a child process of a test."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cli.embedded.ports import free_port
from models.settings import McpServer
from tests.polling import eventually

PROGRAM = Path(__file__).with_name("tools_server.py")
LABEL = "tools"
_WAITING = {"wait", "watch"}
"""Tools that answer when they are let go."""


class McpServerProcess:
    """Child process that serves MCP, and the journal of the calls that it has received."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._journal = folder / "calls.jsonl"
        self._gate = folder / "calls.gate"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that allow requests to name it as `tools`."""
        headers = {"x-operator": "of the operator"}
        return {"mcp_servers": {LABEL: McpServer(url=self.url, headers=headers)}}

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Calls that it has received, in order: name, arguments and headers."""
        if not self._journal.exists():
            return []
        return [json.loads(line) for line in self._journal.read_text().splitlines()]

    @property
    def calls(self) -> list[str]:
        """Names of the tools that were called, in order."""
        return [call["name"] for call in self.journal]

    def let_go(self) -> None:
        """Let the calls that wait be answered, and all later ones."""
        self._gate.touch()

    def renew(self) -> None:
        """Forget all calls, and be up: started again if it was killed or a call may still wait."""
        if self._gate.exists() or not _WAITING.isdisjoint(self.calls):
            self.kill()
        for path in (self._journal, self._gate):
            path.unlink(missing_ok=True)
        if self._process is None:
            self.start()

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [sys.executable, str(PROGRAM), str(self.port), str(self._journal)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._is_up)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()
        self.kill()

    def _is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
