"""Penalties and logit bias against their definition; other logits stay unchanged."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.interface import GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sampling.penalties import Penalties, penalise

VOCAB_SIZE = 40

tokens_strategy = st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=60)
params_strategy = st.builds(
    SamplingParams,
    max_tokens=st.just(1),
    logit_bias=st.dictionaries(st.integers(0, VOCAB_SIZE - 1), st.floats(-100, 100), max_size=5),
    frequency_penalty=st.one_of(st.just(0.0), st.floats(-2, 2)),
    presence_penalty=st.one_of(st.just(0.0), st.floats(-2, 2)),
    repetition_penalty=st.one_of(st.just(1.0), st.floats(0.1, 3)),
)
requests_strategy = st.builds(
    GenerationRequest,
    sequence_id=st.just("it"),
    prompt=st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=60),
    generated=tokens_strategy,
    params=params_strategy,
)


def request(
    prompt: Sequence[int] = (0,), generated: Sequence[int] = (), **params: Any
) -> GenerationRequest:
    return GenerationRequest(
        sequence_id="it",
        prompt=prompt,
        generated=generated,
        params=SamplingParams(max_tokens=1, **params),
    )


def by_definition(logits: np.ndarray, asked: GenerationRequest) -> np.ndarray:
    """Apply the definition token by token over the whole vocabulary, in float64."""
    params, counts = asked.params, Counter(asked.generated)
    result = logits.astype(np.float64)
    for token in range(len(result)):
        result[token] += params.logit_bias.get(token, 0)
        result[token] -= counts[token] * params.frequency_penalty
        result[token] -= (counts[token] > 0) * params.presence_penalty
        if token in asked.prompt or token in asked.generated:
            rp = params.repetition_penalty
            result[token] = result[token] / rp if result[token] > 0 else result[token] * rp
    return result


def some_logits(num_rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_rows, VOCAB_SIZE, generator=generator) * 4


def penalise_copy(logits: torch.Tensor, *requests: GenerationRequest) -> torch.Tensor:
    result = logits.clone()
    penalise(result, [Penalties.from_request(asked) for asked in requests])
    return result


@settings(deadline=None, max_examples=150)
@given(requests=st.lists(requests_strategy, min_size=1, max_size=6), seed=st.integers(0, 99))
def test_a_batch_of_any_mix_agrees_with_the_definition_row_by_row(
    requests: list[GenerationRequest], seed: int
) -> None:
    logits = some_logits(len(requests), seed)

    result = penalise_copy(logits, *requests)

    for row, asked in enumerate(requests):
        expected = by_definition(logits[row].numpy(), asked)
        assert result[row].numpy() == pytest.approx(expected, rel=1e-6, abs=1e-5)


@settings(deadline=None, max_examples=50)
@given(requests=st.lists(requests_strategy, min_size=2, max_size=6))
def test_a_row_is_the_same_to_the_bit_alone_and_in_a_batch(
    requests: list[GenerationRequest],
) -> None:
    logits = some_logits(len(requests))

    together = penalise_copy(logits, *requests)

    alone = [penalise_copy(logits[n : n + 1], asked) for n, asked in enumerate(requests)]
    assert torch.equal(together, torch.cat(alone))


@settings(deadline=None, max_examples=50)
@given(whole=requests_strategy)
def test_tokens_count_the_same_whenever_they_came(whole: GenerationRequest) -> None:
    logits = some_logits(1)
    first = request(whole.prompt)
    grown = Penalties(GenerationRequest(sequence_id="it", prompt=first.prompt, params=whole.params))
    for token in whole.generated:
        grown.advance(token)

    one_by_one, at_once = logits.clone(), logits.clone()
    penalise(one_by_one, [grown])
    penalise(at_once, [Penalties(whole)])

    assert torch.equal(one_by_one, at_once)


def test_frequency_and_presence_leave_the_prompt_alone() -> None:
    logits = torch.zeros(1, 4)
    asked = request([1, 1], [2, 2, 3], frequency_penalty=0.5, presence_penalty=1.0)

    assert penalise_copy(logits, asked).tolist() == [[0.0, 0.0, -2.0, -1.5]]


def test_repetition_weakens_both_signs_of_prompt_and_output() -> None:
    logits = torch.tensor([[4.0, -4.0, 4.0, -4.0]])

    result = penalise_copy(logits, request([0, 1], [1, 2], repetition_penalty=2.0))

    assert result.tolist() == [[2.0, -8.0, 2.0, -4.0]]


def test_a_row_that_asks_for_nothing_has_no_penalties() -> None:
    assert Penalties.from_request(request([1, 2], [3], temperature=0.7, top_k=5, min_p=0.1)) is None


@pytest.mark.parametrize("bias", [100.0, -100.0])
def test_what_is_forbidden_stays_forbidden(bias: float) -> None:
    logits = torch.full((1, 4), -math.inf)

    result = penalise_copy(logits, request([0], [1], logit_bias={1: bias}, repetition_penalty=0.5))

    assert result.isneginf().all()


@pytest.mark.parametrize("penalty", [5e-324, 1e-300, 1e300])
def test_extreme_penalties_leave_finite_logits(penalty: float) -> None:
    logits = torch.tensor([[3.0, -3.0, 0.0, 1.0]])

    result = penalise_copy(logits, request([0, 1, 2], repetition_penalty=penalty))

    assert result.isfinite().all()
    assert (result / 1e-5).isfinite().all()


def test_a_row_that_is_not_a_number_stays_so() -> None:
    logits = torch.full((1, 4), math.nan)

    assert penalise_copy(logits, request([0], logit_bias={1: 5.0})).isnan().all()
