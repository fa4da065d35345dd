"""Codex CLI, unmodified, in a folder of its own (`npm ci` installs it)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.server import ROOT

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules" / ".bin" / "codex"
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
TIMEOUT_S = 240

_CONFIG = """
model = "{model}"
model_provider = "local"
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "danger-full-access"
[analytics]
enabled = false
[model_providers.local]
name = "local"
base_url = "{url}"
wire_api = "responses"
env_key = "CODEX_TEST_KEY"
request_max_retries = 0
stream_max_retries = 0
supports_websockets = {websockets}
[mcp_servers.notes]
command = "{python}"
args = ["{server}", "{notes}"]
"""


class Codex:
    """Home and working folder of Codex, which talks to one server."""

    def __init__(self, folder: Path, url: str, *, model: str, websockets: bool = False) -> None:
        """Write its configuration; skips the test where there is no Node."""
        if shutil.which("node") is None:
            pytest.skip("there is no Node on this machine")
        self.folder, self._home = folder / "work", folder / "home"
        self.notes = folder / "notes.txt"
        self.folder.mkdir()
        self._home.mkdir()
        config = _CONFIG.format(
            model=model,
            url=url,
            websockets=str(websockets).lower(),
            python=PYTHON,
            server=HERE / "notes_server.py",
            notes=self.notes,
        )
        (self._home / "config.toml").write_text(config)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `codex exec` with arguments; the last message is written to `answer`."""
        command = [str(PROGRAM), "exec", *arguments, "--skip-git-repo-check"]
        return subprocess.Popen(
            [*command, "--output-last-message", str(self._home / "answer")],
            cwd=self.folder,
            env=os.environ | {"CODEX_HOME": str(self._home), "CODEX_TEST_KEY": "unused"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for its end and return the last message; fail with its output if it fails."""
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        assert process.returncode == 0, output
        return (self._home / "answer").read_text()
