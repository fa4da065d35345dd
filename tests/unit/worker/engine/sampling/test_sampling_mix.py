"""All sampling parameters together, in one batch, against all their definitions together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.engine.sampling.test_dry import TEXTS, by_reference, params_for
from tests.unit.worker.engine.sampling.test_penalties import VOCAB_SIZE, by_definition, some_logits
from tests.unit.worker.engine.sampling.test_sampler import interval_of_each_token
from worker.engine.interface import GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sampling.penalties import Penalties, penalise
from worker.engine.sampling.sampler import Draw, sample, uniform

BREAKERS = ["\n", "abc", "cab"]

# Rounding may move the end of an interval by this much.
TOLERANCE = 2e-5

tokens_strategy = st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=30)
params_strategy = st.builds(
    SamplingParams,
    max_tokens=st.just(1),
    temperature=st.one_of(st.just(0.0), st.floats(0.2, 2)),
    top_k=st.one_of(st.just(0), st.integers(1, VOCAB_SIZE + 10)),
    top_p=st.one_of(st.just(1.0), st.floats(0.05, 1)),
    min_p=st.one_of(st.just(0.0), st.floats(0, 0.5)),
    logit_bias=st.dictionaries(st.integers(0, VOCAB_SIZE - 1), st.floats(-9, 9), max_size=4),
    frequency_penalty=st.one_of(st.just(0.0), st.floats(-2, 2)),
    presence_penalty=st.one_of(st.just(0.0), st.floats(-2, 2)),
    repetition_penalty=st.one_of(st.just(1.0), st.floats(0.5, 2)),
    dry=st.one_of(st.none(), st.just(params_for(BREAKERS)), st.just(params_for(base=1.2))),
    seed=st.integers(0, 2**63),
)
requests_strategy = st.builds(
    GenerationRequest,
    sequence_id=st.just("it"),
    prompt=tokens_strategy,
    generated=tokens_strategy,
    params=params_strategy,
)


def draw(logits: torch.Tensor, *requests: GenerationRequest) -> list[int | None]:
    """Sample from logits as the engine does in one step."""
    scores = logits.clone()
    penalise(scores, [Penalties.from_request(request) for request in requests])
    return sample(
        scores, [Draw(request.params, len(request.generated)) for request in requests]
    ).tokens


def scores_by_definition(logits: np.ndarray, asked: GenerationRequest) -> np.ndarray:
    scores = by_definition(logits, asked)
    if asked.params.dry is not None:
        breakers = BREAKERS if asked.params.dry.breaker_moves else []
        tokens = [*asked.prompt, *asked.generated]
        for token, penalty in by_reference(tokens, breakers, asked.params.dry).items():
            scores[token] -= penalty
    return scores


def is_right(
    token: int | None, scores: np.ndarray, asked: GenerationRequest, tolerance: float = TOLERANCE
) -> bool:
    """Return True if the row's uniform number lies in the token's interval."""
    params = asked.params
    if params.temperature == 0:
        return token == scores.argmax()
    ends = interval_of_each_token(scores, params)
    if params.top_k == 0 and params.top_p == 1 and params.min_p == 0:
        weights = np.exp((scores - scores.max()) / params.temperature)
        ends = dict(enumerate(np.cumsum(weights / weights.sum()).tolist()))
    starts = dict(zip(ends, [0.0, *ends.values()], strict=False))
    u = uniform(params.seed, len(asked.generated))
    return token in ends and starts[token] - tolerance <= u <= ends[token] + tolerance


@settings(deadline=None, max_examples=300)
@given(requests=st.lists(requests_strategy, min_size=1, max_size=8), seed=st.integers(0, 999))
def test_every_row_of_any_mix_draws_by_its_own_definition(
    requests: list[GenerationRequest], seed: int
) -> None:
    logits = some_logits(len(requests), seed)

    tokens = draw(logits, *requests)

    for row, request in enumerate(requests):
        assert is_right(tokens[row], scores_by_definition(logits[row].numpy(), request), request)


@settings(deadline=None, max_examples=100)
@given(requests=st.lists(requests_strategy, min_size=2, max_size=8))
def test_a_row_draws_the_same_alone_and_in_any_mix(requests: list[GenerationRequest]) -> None:
    logits = some_logits(len(requests))

    together = draw(logits, *requests)

    alone = [draw(logits[row : row + 1], request) for row, request in enumerate(requests)]
    assert [[token] for token in together] == alone


def test_a_greedy_row_obeys_bias_and_penalties() -> None:
    params = SamplingParams(max_tokens=1, temperature=0)
    asked = GenerationRequest(sequence_id="it", prompt=[0], generated=[1, 1], params=params)
    logits = torch.tensor([[1.0, 1.5, 0.0]])

    def token(**changes: Any) -> int | None:
        return draw(logits, replace(asked, params=replace(params, **changes)))[0]

    assert token() == 1
    assert token(logit_bias={2: 2.0}) == 2
    assert token(frequency_penalty=0.3) == 0
    assert token(presence_penalty=0.6) == 0
    assert token(dry=params_for(allowed_length=1)) == 0


ALONE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "temperature below 1": {"temperature": 0.6},
    "temperature above 1": {"temperature": 1.8},
    "top-k": {"top_k": 4},
    "top-p": {"top_p": 0.7},
    "min-p": {"min_p": 0.2},
    "bias": {"logit_bias": {2: 2.0, 5: -3.0}},
    "frequency": {"frequency_penalty": 0.5},
    "presence": {"presence_penalty": -1.0},
    "repetition": {"repetition_penalty": 1.6},
    "DRY": {"dry": params_for(base=1.5, allowed_length=1)},
    "DRY with breakers": {"dry": params_for(BREAKERS, allowed_length=1)},
    "all": {
        "temperature": 1.3,
        "top_k": 6,
        "top_p": 0.9,
        "min_p": 0.05,
        "logit_bias": {4: 1.0},
        "frequency_penalty": 0.3,
        "presence_penalty": 0.2,
        "repetition_penalty": 1.2,
        "dry": params_for(allowed_length=1),
    },
}


@pytest.mark.parametrize("asked", ALONE.values(), ids=ALONE)
def test_frequencies_follow_the_probabilities_that_are_defined(asked: dict[str, Any]) -> None:
    num_draws = 20_000
    logits = np.random.default_rng(1).normal(0, 1.5, 9).astype(np.float32)
    params = SamplingParams(max_tokens=1, seed=3, **asked)
    request = GenerationRequest(
        sequence_id="it", prompt=[0, 1, 2], generated=[5, 0, 1, 1, 0, 1], params=params
    )
    rows = torch.from_numpy(logits).repeat(num_draws, 1)

    penalise(rows, [Penalties.from_request(request)] * num_draws)
    tokens = sample(rows, [Draw(params, position) for position in range(num_draws)]).tokens

    ends = interval_of_each_token(scores_by_definition(logits, request), params)
    expected = np.zeros(len(logits))
    for token, start, end in zip(ends, [0.0, *ends.values()], ends.values(), strict=False):
        expected[token] = end - start
    counts = np.bincount(np.array(tokens), minlength=len(logits))
    # Four standard deviations of a share.
    tolerance = 4 * np.sqrt(expected * (1 - expected) / num_draws)
    assert (np.abs(counts / num_draws - expected) <= tolerance + 1e-9).all()
