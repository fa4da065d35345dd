"""Whole server, started like a user does: `./antiphon up` on a free port, in a temporary folder."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from openai import OpenAI

from cli.embedded.ports import free_port
from tests.polling import PATIENCE_S, eventually

ROOT = Path(__file__).parents[2]
START_S = 90.0
VLLM_START_S = 300.0
"""Seconds for workers that first import vLLM."""
STOP_S = 40.0


class AntiphonServer:
    """Supervisor with all its child processes."""

    def __init__(
        self, data_dir: Path, *, command: list[str] | None = None, **settings: str
    ) -> None:
        self.data_dir = data_dir
        self._command = command or [sys.executable, str(ROOT / "antiphon"), "up"]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = data_dir / "up.out"
        self.environment = dict(os.environ) | {
            "ANTIPHON_DATA_DIR": str(data_dir),
            "ANTIPHON_PORT": str(self.port),
            **{f"ANTIPHON_{name.upper()}": value for name, value in settings.items()},
        }
        self.start_s = VLLM_START_S if settings.get("engine") == "vllm" else START_S
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait for the banner."""
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )
        self.wait_for(lambda: "Ctrl-C stops" in self.output, self.start_s)

    @property
    def output(self) -> str:
        """Everything that it has printed."""
        return self._output.read_text()

    def client(self) -> OpenAI:
        """Return an official client without retries."""
        return OpenAI(base_url=f"{self.url}/v1", api_key="unused", max_retries=0, timeout=60)

    def pid(self, name: str) -> int:
        """Return the process id of one part, such as `api` or `worker-1`."""
        return int((self.data_dir / "run" / f"{name}.pid").read_text())

    def kill(self, name: str) -> int:
        """Kill one part with SIGKILL; return its process id."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_ready(self) -> bool:
        """Return True if /readyz answers 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_for(self, is_true: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
        """Poll until `is_true()`; fail if the server ends, or after `timeout_s` seconds."""

        def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output
            return bool(is_true())

        eventually(look, within_s=timeout_s)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the supervisor and wait for its end; return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_S)


def make_in(data_dir: Path, weights_dir: Path | None, settings: dict[str, str]) -> AntiphonServer:
    """Create a server in a new folder without starting it."""
    data_dir.mkdir()
    if weights_dir is not None:
        (data_dir / "weights").symlink_to(weights_dir)
    return AntiphonServer(data_dir, command=None, **settings)
