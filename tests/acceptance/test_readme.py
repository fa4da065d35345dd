"""Code blocks of the README, run in order as a reader would."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import ROOT, AntiphonServer

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
SHELL = [code.strip() for language, code in BLOCKS if language == "sh"]

RUN_ELSEWHERE = {
    "make test": "it is what runs this test",
    "docker compose up --build --wait": "deploy/compose_test.sh runs it, with an engine",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path) -> Iterator[AntiphonServer]:
    """Start the server with the first command of the README."""
    data_dir = tmp_path_factory.mktemp("readme")
    (data_dir / "weights").symlink_to(weights_dir)
    started = AntiphonServer(data_dir, command=SHELL[0].split())
    started.start()
    yield started
    started.stop()


def here(code: str, server: AntiphonServer) -> str:
    """Return the code with the address of the server under test."""
    assert "http://127.0.0.1:8000" in code
    return code.replace("http://127.0.0.1:8000", server.url)


def test_every_block_is_run_here_or_known_to_be_run_elsewhere() -> None:
    curl = [code for code in SHELL if code.startswith("curl")]

    assert {language for language, _ in BLOCKS} == {"sh", "python"}
    assert SHELL[0] == "make up"
    commands = [code for code in SHELL if code.startswith("./antiphon")]
    assert set(SHELL) == {"make up", *curl, *commands, *RUN_ELSEWHERE}
    assert len(README.splitlines()) <= 160


def test_the_curl_answers(server: AntiphonServer) -> None:
    [curl] = [code for code in SHELL if code.startswith("curl")]

    answer = subprocess.run(
        ["bash", "-c", here(curl, server)], capture_output=True, text=True, check=True
    )

    assert '"status":"completed"' in answer.stdout
    assert "Paris" in answer.stdout


def test_the_commands_run(server: AntiphonServer) -> None:
    [commands] = [code for code in SHELL if code.startswith("./antiphon")]
    environment = os.environ | {"ANTIPHON_BASE_URL": server.url}

    run = subprocess.run(
        ["bash", "-ec", commands], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    *answer, submitted, listed = run.stdout.splitlines()
    assert "".join(answer).strip()
    assert listed.startswith(f"{submitted}\t")


def test_the_python_blocks_run_one_after_the_other(server: AntiphonServer) -> None:
    code = "\n".join(code for language, code in BLOCKS if language == "python")
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_BASE_URL"}

    run = subprocess.run(
        [sys.executable, "-c", here(code, server)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(("completed ", "incomplete "))
    # Not checked here: whether so small a model repeats what it was told. test_walkthrough checks
    # that a prompt includes the previous turn.
    assert "cancelled" in run.stdout
    assert '"name"' in run.stdout.splitlines()[-1] or '"age"' in run.stdout


def test_the_folders_of_the_map_exist() -> None:
    folders = re.findall(r"^\| `(\w+)/` \|", README, flags=re.MULTILINE)

    assert len(folders) == 9
    assert all((ROOT / folder).is_dir() for folder in folders)
