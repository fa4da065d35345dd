"""Engines that the contract is tested with; those that are not installed here are skipped."""

from importlib.util import find_spec

import pytest
from _pytest.mark.structures import ParameterSet


def _if_installed(name: str) -> ParameterSet:
    is_missing = find_spec(name) is None
    return pytest.param(
        name, marks=pytest.mark.skipif(is_missing, reason=f"{name} is not installed")
    )


ENGINES = (_if_installed("openvino"), "torch", _if_installed("vllm"))
"""Names of what computes: a forward pass of our own engine, or vLLM."""
