"""Codex CLI does a whole task: a shell command, a patch, a tool of an MCP server, an answer."""

import json
from pathlib import Path

import pytest

from tests.acceptance.clients.codex import Codex
from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import AntiphonServer
from tests.polling import eventually

PATCH = """\
*** Begin Patch
*** Update File: greeting.txt
@@
-Hello
+Hello, world
*** End Patch"""


def call(name: str, **arguments: object) -> str:
    body = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{body}\n</tool_call>"


TURNS = [
    call("exec_command", cmd="cat greeting.txt && echo seen > seen.txt"),
    f'<tool_call>\n{{"name": "apply_patch"}}\n{PATCH}',
    call("tool_search", query="add note"),
    call("mcp__notes__add_note", text="patched"),
    "The greeting is patched.",
]


@pytest.fixture
def scripted(make_server: MakeServer) -> AntiphonServer:
    return make_server(
        script_text="\f".join(TURNS), script_interval_ms="4", model_aliases="gpt-5.5=scripted"
    )


def begin(scripted: AntiphonServer, folder: Path, *, websockets: bool) -> Codex:
    codex = Codex(folder, f"{scripted.url}/v1", model="gpt-5.5", websockets=websockets)
    (codex.folder / "greeting.txt").write_text("Hello\n")
    return codex


def check_work(codex: Codex, answer: str) -> None:
    assert answer == TURNS[-1]
    assert (codex.folder / "seen.txt").read_text() == "seen\n"
    assert (codex.folder / "greeting.txt").read_text() == "Hello, world\n"
    assert codex.notes.read_text() == "patched\n"


@pytest.mark.parametrize("websockets", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_whole_task(scripted: AntiphonServer, tmp_path: Path, *, websockets: bool) -> None:
    codex = begin(scripted, tmp_path, websockets=websockets)

    answer = codex.finish(codex.start("Patch the greeting."))

    check_work(codex, answer)


@pytest.mark.nightly
@pytest.mark.parametrize("websockets", [False, True])
def test_the_same_with_the_worker_killed_in_the_middle(
    scripted: AntiphonServer, tmp_path: Path, *, websockets: bool
) -> None:
    codex = begin(scripted, tmp_path, websockets=websockets)

    process = codex.start("Patch the greeting.")
    eventually(lambda: (codex.folder / "seen.txt").exists())
    scripted.kill("worker-1")
    eventually(lambda: "world" in (codex.folder / "greeting.txt").read_text())
    scripted.kill("worker-1")
    answer = codex.finish(process)

    check_work(codex, answer)
