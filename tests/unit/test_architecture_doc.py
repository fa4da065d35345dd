"""The tree in docs/architecture.md names the folders and files that there are."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs" / "architecture.md").read_text()
_TREE = _TEXT.split("## Files", 1)[1].split("```")[1].strip("\n").splitlines()
_LINE = re.compile(r"(?P<indent>(  )*)(?P<name>[\w.]+/?)  +(?P<text>\S.*)")


def _paths() -> Iterator[str]:
    """Every line as a path; folders end in a slash."""
    folders: list[str] = []
    for line in _TREE:
        found = _LINE.fullmatch(line)
        assert found, f"{line!r} does not say what is there"
        depth = len(found["indent"]) // 2
        del folders[depth:]
        yield "".join(folders) + found["name"]
        if found["name"].endswith("/"):
            folders.append(found["name"])


def _tracked() -> set[str]:
    """Return the tracked files of the folders that the tree shows, and these folders."""
    roots = [line.split("/")[0] for line in _TREE if not line.startswith(" ")]
    listed = subprocess.run(
        ["git", "ls-files", "--", *roots], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    files = {Path(line) for line in listed.stdout.splitlines()}
    folders = {f"{parent}/" for file in files for parent in file.parents if parent != Path()}
    return {str(file) for file in files if file.name != "__init__.py"} | folders


def test_the_tree_has_every_folder_and_file_and_no_others() -> None:
    listed = list(_paths())
    shown = set(listed)
    closed = {path for path in shown if path.endswith("/") and not _has_entries(path, shown)}
    tracked = {path for path in _tracked() if not any(_is_below(path, folder) for folder in closed)}

    assert len(shown) > 300
    assert len(listed) == len(shown)
    assert shown == tracked


def _has_entries(folder: str, shown: set[str]) -> bool:
    return any(_is_below(path, folder) for path in shown)


def _is_below(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder)
