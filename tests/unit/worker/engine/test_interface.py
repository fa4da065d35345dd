from typing import Any

import pytest

from worker.engine.params import DryParams, SamplingParams

OUT_OF_RANGE = [
    ("max_tokens", -1),
    ("temperature", -0.1),
    ("temperature", float("nan")),
    ("top_p", 0.0),
    ("top_p", 1.1),
    ("top_k", -1),
    ("min_p", 1.5),
    ("frequency_penalty", float("nan")),
    ("presence_penalty", float("inf")),
    ("repetition_penalty", 0.0),
    ("num_top_logprobs", -1),
    ("num_top_logprobs", 21),
    ("logit_bias", {1: float("-inf")}),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_parameter_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        SamplingParams(**{"max_tokens": 1, name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("multiplier", 0.0), ("base", float("inf")), ("allowed_length", -1)]
)
def test_a_parameter_of_dry_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        DryParams(**{"multiplier": 1, name: value})
