"""Fixtures of the engines' contract: each test runs with every engine that is installed here.

`make test-vllm` runs it where vLLM is, which needs an environment of its own.
"""

import pytest

from tests.unit.worker.engine.contract.engines import ENGINES


@pytest.fixture(params=ENGINES)
def forward(request: pytest.FixtureRequest) -> str:
    """Return the name of what computes."""
    return str(request.param)
