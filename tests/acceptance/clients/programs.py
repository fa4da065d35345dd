"""Running of client programs, in an environment of their own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.server import ROOT

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
TIMEOUT_S = 120


def run_program(program: Path, *urls: str) -> dict[str, Any]:
    """Run a program against servers; return the results of its scenarios, by name."""
    if program.suffix == ".mjs" and shutil.which("node") is None:
        pytest.skip("there is no Node on this machine")
    # Before version 22, Node has a WebSocket only where it is asked for.
    node = ["node", "--experimental-websocket"]
    interpreter = node if program.suffix == ".mjs" else [str(PYTHON)]
    done = subprocess.run(
        [*interpreter, program.name, *urls],
        cwd=program.parent,
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: result for line in lines for name, result in line.items()}
