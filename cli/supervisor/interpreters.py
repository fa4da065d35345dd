"""Python that workers run in: with vLLM, that of its own environment."""

import sys
from importlib.util import find_spec
from pathlib import Path

from models.settings import Settings, SettingsError

_VLLM_PYTHON = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"


def worker_python(settings: Settings, vllm_python: Path = _VLLM_PYTHON) -> str:
    """Return the interpreter for the workers; raise `SettingsError` if vLLM is not installed.

    It is in the environment that `make vllm-install` makes, or in this one, as in an image.
    """
    if settings.engine != "vllm":
        return sys.executable
    if vllm_python.exists():
        return str(vllm_python)
    if find_spec("vllm") is None:
        raise SettingsError(
            "ANTIPHON_ENGINE=vllm: vLLM is not installed; `make up ENGINE=vllm` installs it in "
            "an environment of its own, and starts everything"
        )
    return sys.executable
