"""Layout of the code: sizes of folders, and imports between them (docs/architecture.md)."""

from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("api", "worker", "models", "cli", "migrations")
_MAX_FILES = 15
_MAX_CHAIN = 14


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Map each module to its imports, including those for type checking and in functions."""
    graph = grimp.build_graph(*_PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_folder_holds_more_files_than_are_easily_surveyed() -> None:
    folders = [_ROOT / name for name in (*_PACKAGES, "bench")]
    folders += [path for folder in folders for path in folder.rglob("*") if path.is_dir()]
    # Migrations are a history: each is read by itself, and all of them stay.
    folders.remove(_ROOT / "migrations/versions")
    counts = {folder: len(list(folder.glob("*.py"))) for folder in folders}

    assert sum(counts.values()) > 300
    assert {folder: count for folder, count in counts.items() if count > _MAX_FILES} == {}


def test_modules_import_each_other_in_one_direction_and_in_short_chains(
    imports: dict[str, set[str]],
) -> None:
    lengths: dict[str, int] = {}
    for module in TopologicalSorter(imports).static_order():  # a cycle raises
        lengths[module] = 1 + max((lengths[imported] for imported in imports[module]), default=0)

    assert len(lengths) > 250
    assert {module: n for module, n in lengths.items() if n > _MAX_CHAIN} == {}
