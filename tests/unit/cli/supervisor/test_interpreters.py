import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from cli.supervisor.interpreters import worker_python
from models.settings import Settings, SettingsError

_VLLM = Settings(engine="vllm")


def test_workers_run_in_the_python_of_everything_else(tmp_path: Path) -> None:
    assert worker_python(Settings(), tmp_path) == sys.executable


def test_workers_with_vllm_run_in_its_environment(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch()

    assert worker_python(_VLLM, python) == str(python)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_that_is_not_installed_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make up ENGINE=vllm"):
        worker_python(_VLLM, tmp_path / "none")
