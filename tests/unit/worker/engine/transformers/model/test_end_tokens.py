from types import SimpleNamespace
from typing import Any

import pytest

from worker.engine.transformers.model.loader import end_token_ids


def model(generation: Any, **text: Any) -> Any:
    """Return what a model has of its ends."""
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(**text))
    return SimpleNamespace(generation_config=generation, config=config)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (model(SimpleNamespace(eos_token_id=[2, 3]), eos_token_id=1), {2, 3}),
        (model(SimpleNamespace(eos_token_id=None), eos_token_id=1), {1}),
        (model(None, eos_token_id=[1, 4]), {1, 4}),
        (model(None, eos_token_id=None), set()),
        (model(SimpleNamespace(eos_token_id=None)), set()),
    ],
)
def test_ends_are_those_of_generation_or_else_of_the_language_model(
    network: Any, expected: set[int]
) -> None:
    assert end_token_ids(network) == expected
