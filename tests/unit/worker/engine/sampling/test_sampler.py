import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.params import SamplingParams
from worker.engine.sampling.sampler import Draw, sample, uniform

VOCAB_SIZE = 2000

params_strategy = st.builds(
    SamplingParams,
    max_tokens=st.just(1),
    temperature=st.floats(0.1, 3),
    top_k=st.one_of(st.just(0), st.integers(1, VOCAB_SIZE + 10)),
    top_p=st.floats(0.05, 1),
    min_p=st.one_of(st.just(0.0), st.floats(0, 0.5)),
    seed=st.integers(0, 2**63),
)


def interval_of_each_token(scores: np.ndarray, params: SamplingParams) -> dict[int, float]:
    """Return the upper ends of the tokens' intervals by the definition, slowly in float64.

    Tokens are in decreasing order of probability; a sampler without truncation may use any order.
    """
    weights = np.exp((scores - scores.max()) / params.temperature)
    order = np.argsort(-weights, kind="stable")
    kept = weights[order][: params.top_k or len(scores)]
    kept = kept / kept.sum()
    kept = kept[np.cumsum(kept) - kept < params.top_p]
    kept = kept[kept >= params.min_p * kept[0]]
    ends = np.cumsum(kept / kept.sum())
    return dict(zip(order.tolist(), ends.tolist(), strict=False))


@settings(deadline=None, max_examples=150)
@given(params=params_strategy, data_seed=st.integers(0, 1000), spread=st.floats(0.1, 8))
def test_truncated_draws_agree_with_the_definition(
    params: SamplingParams, data_seed: int, spread: float
) -> None:
    scores = np.random.default_rng(data_seed).normal(0, spread, VOCAB_SIZE).astype(np.float32)
    ends = interval_of_each_token(scores.astype(np.float64), params)
    is_truncated = params.top_k > 0 or params.top_p < 1 or params.min_p > 0

    [token] = sample(torch.from_numpy(scores)[None].clone(), [Draw(params, position=3)]).tokens

    # Rounding may move an end by this much; close to an end, both neighbours are accepted.
    tolerance = 2e-5
    u = uniform(params.seed, 3)
    assert token in ends
    if is_truncated:
        ordered = list(ends)
        start = ends[ordered[ordered.index(token) - 1]] if token != ordered[0] else 0.0
        assert start - tolerance <= u <= ends[token] + tolerance


def test_frequencies_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    logits = probabilities.log().repeat(20_000, 1)
    params = SamplingParams(max_tokens=1, seed=1)

    tokens = sample(logits, [Draw(params, position) for position in range(len(logits))]).tokens

    shares = np.bincount(np.array(tokens), minlength=4) / len(tokens)
    assert shares == pytest.approx(probabilities.numpy(), abs=0.015)
    assert shares[1] == 0


def test_a_row_draws_the_same_token_in_any_batch() -> None:
    torch.manual_seed(0)
    logits = torch.randn(40, VOCAB_SIZE) * 2
    shapes: list[dict[str, Any]] = [
        {},
        {"top_p": 0.9},
        {"top_k": 50},
        {"min_p": 0.1},
        {"temperature": 0.0},
    ]
    draws = [
        Draw(SamplingParams(max_tokens=1, seed=row, **shapes[row % 5]), position=row)
        for row in range(40)
    ]

    together = sample(logits.clone(), draws).tokens

    alone = [sample(logits[n : n + 1], draws[n : n + 1]).tokens[0] for n in range(40)]
    assert together == alone


@pytest.mark.parametrize("temperature", [0.0, 1e-30, 1e-4])
def test_no_and_tiny_temperature_take_the_likeliest_token(temperature: float) -> None:
    params = SamplingParams(max_tokens=1, temperature=temperature)

    assert sample(torch.tensor([[0.0, 3.0, 1.0]]), [Draw(params, 0)]).tokens == [1]


def test_a_row_without_a_finite_score_gives_no_token_and_leaves_the_others() -> None:
    logits = torch.tensor([[1.0, math.nan], [-math.inf, -math.inf], [-math.inf, 0.0]])

    tokens = sample(logits, [Draw(SamplingParams(max_tokens=1), 0)] * 3).tokens

    assert tokens == [None, None, 1]


def test_a_forbidden_token_is_not_drawn_even_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.sampling.sampler.uniform", lambda seed, position: 0.0)
    logits = torch.tensor([[-math.inf, 0.0, 0.0]])

    assert sample(logits, [Draw(SamplingParams(max_tokens=1), 0)]).tokens == [1]


def test_uniforms_are_spread_and_depend_on_seed_and_position() -> None:
    numbers = [uniform(seed, position) for seed in range(50) for position in range(50)]

    assert len(set(numbers)) > 2490
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)
