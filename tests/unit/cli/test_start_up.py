"""The command line starts quickly: what a command does not need is not imported for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.main import app

_ROOT = Path(__file__).parents[3]
_HEAVY = ("torch", "transformers", "openai", "httpx2", "pydantic", "sqlalchemy", "psycopg", "redis")


def _modules_after(*words: str) -> set[str]:
    code = f"""
import json, sys
from typer.testing import CliRunner
from cli.main import app
result = CliRunner().invoke(app, {list(words)!r})
assert result.exit_code in (0, 1), result.output
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=_ROOT, check=True
    )
    return set(json.loads(done.stdout))


def test_help_imports_nothing_heavy() -> None:
    assert _modules_after("--help").isdisjoint(_HEAVY)


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "--base-url", "http://127.0.0.1:1"],
        ["config", "show"],
        ["models", "check", "/none.gguf"],
        ["doctor"],
    ],
)
def test_no_command_of_clients_imports_torch(words: list[str]) -> None:
    assert _modules_after(*words).isdisjoint(("torch", "transformers", "openvino", "flask"))


def test_words_are_completed_by_the_shell() -> None:
    environment = os.environ | {
        "_ANTIPHON_COMPLETE": "complete_bash",
        "COMP_WORDS": "antiphon su",
        "COMP_CWORD": "1",
    }

    done = subprocess.run(
        [sys.executable, str(_ROOT / "antiphon")], env=environment, capture_output=True, text=True
    )

    assert done.stdout.split() == ["submit"]


def test_every_command_is_described_in_the_reference() -> None:
    page = (_ROOT / "docs" / "cli.md").read_text()
    root = get_command(app)
    names = getattr(root, "commands", {}).keys()

    assert len(names) > 20
    assert [name for name in names if f"`{name}" not in page] == []


def test_every_command_of_clients_can_print_json() -> None:
    commands = getattr(get_command(app), "commands", {})
    for name in ("submit", "wait", "tail", "chat", "ls", "show", "cancel", "retry", "rm", "top"):
        help_page = CliRunner().invoke(app, [name, "--help"]).output
        assert "--json" in help_page
        assert "--base-url" in help_page
        assert commands[name].help
