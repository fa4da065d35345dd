"""Checkpoints of 100 GB that are refused in a moment, as no large library is imported for it.

`python -m bench.refusals` measures the moment.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.refusals.gguf_kinds import GGUF_KINDS
from bench.refusals.kinds import KINDS

_CHILD = """
import json, sys
from pathlib import Path
from models.settings import Settings
from worker.weights.judge import judge

told = {}
for name, model in json.loads(sys.argv[1]).items():
    faults = judge(Settings(model=model, data_dir=Path(sys.argv[2]))).faults
    libraries = sorted({"torch", "transformers"} & sys.modules.keys())
    told[name] = [fault.problem for fault in faults], libraries
print(json.dumps(told))
"""
_ALL = KINDS | GGUF_KINDS


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what one process says of all kinds, and the libraries that it has imported by then."""
    models = {}
    for name, kind in _ALL.items():
        folder = tmp_path_factory.mktemp("kind")
        kind.write(folder)
        models[name] = str(folder / kind.name)
    data = str(tmp_path_factory.mktemp("data"))
    command = [sys.executable, "-c", _CHILD, json.dumps(models), data]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", _ALL)
def test_a_kind_is_refused_before_large_libraries_are_imported(
    name: str, told: dict[str, Any]
) -> None:
    problems, libraries = told[name]

    assert _ALL[name].problem in problems[0]
    assert all(text.isprintable() for text in problems)
    assert libraries == []
