import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def _make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", _ROOT, *arguments], capture_output=True, text=True)


def test_make_alone_lists_every_target_that_is_meant_for_people() -> None:
    output = _make().stdout

    for target in ("up", "test", "lint", "migrate", "bench", "compose-test", "clean"):
        assert f"\n{target} " in output


def test_a_python_that_is_too_old_is_refused_with_the_way_out(tmp_path: Path) -> None:
    old_python = tmp_path / "python"
    old_python.write_text("#!/bin/sh\nexit 1\n")
    old_python.chmod(0o755)

    done = _make(f"VENV={tmp_path}/venv", f"PYTHON={old_python}", "up")

    assert done.returncode != 0
    assert "older than Python 3.11" in done.stdout


def test_lint_checks_everything_that_a_commit_must_pass() -> None:
    recipe = _make("-n", "lint").stdout

    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "codespell"):
        assert tool in recipe
