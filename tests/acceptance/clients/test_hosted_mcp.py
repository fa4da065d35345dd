"""Hosted MCP tools of openai-agents, against a server with the scripted engine."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import ROOT
from tests.mcp.process import LABEL, McpServerProcess
from tests.mcp.requests import call_text

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-clients" / "bin" / "python"


@pytest.fixture
def results(tmp_path: Path, make_server: MakeServer) -> tuple[dict[str, Any], list[str]]:
    """Return what the program has printed, by scenario, and the calls that it has caused."""
    with McpServerProcess(tmp_path) as mcp:
        server = make_server(
            mcp_servers=json.dumps({LABEL: {"url": mcp.url}}),
            script_text=f"{call_text('add', a=1, b=2)}\fIt is 3.",
            script_interval_ms="1",
        )
        done = subprocess.run(
            [str(PYTHON), "with_agents_mcp.py", f"{server.url}/v1", mcp.url],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {name: result for line in lines for name, result in line.items()}, mcp.calls


@pytest.mark.nightly
def test_calls_are_made_approved_and_refused(
    results: tuple[dict[str, Any], list[str]],
) -> None:
    told, calls = results
    assert [result.get("error") for result in told.values()] == [None] * 4
    assert {result["text"] for result in told.values()} == {"It is 3."}
    assert told["called"]["items"] == ["mcp_list_tools", "mcp_call", "message"]
    assert "response.mcp_call.completed" in told["streamed"]["events"]
    assert told["approved"]["items"] == [
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "message",
    ]
    assert "mcp_call" not in told["refused"]["items"]
    assert calls == ["add", "add", "add"]
