"""Draws of a running engine: each token is the one that its parameters and position decide."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.unit.worker.engine.contract.network_logits import logits_after_each
from tests.unit.worker.engine.harness import Harness, sampled
from tests.unit.worker.engine.sampling.test_dry import penalties_of
from tests.unit.worker.engine.sampling.test_penalties import by_definition
from tests.unit.worker.engine.sampling.test_sampling_mix import is_right
from worker.engine.interface import GenerationRequest
from worker.engine.params import DryParams
from worker.engine.sampling.dry import DryMatcher

NUM_TOKENS = 16
TOLERANCE = 1e-3
"""Distance of the end of an interval from that by the network's own logits."""

KINDS: dict[str, dict[str, Any]] = {
    "nothing": {"temperature": 1.0, "top_p": 1.0},
    "greedy": {"temperature": 0},
    "temperature": {"temperature": 1.7, "top_p": 1.0},
    "top-k": {"top_k": 4, "top_p": 1.0},
    "top-p": {"top_p": 0.7},
    "min-p": {"min_p": 0.05, "top_p": 1.0},
    "bias": {"logit_bias": {7: 3.0, 8: -100.0}},
    "frequency": {"frequency_penalty": 1.5},
    "presence": {"presence_penalty": -1.0},
    "repetition": {"repetition_penalty": 1.6},
    "DRY": {"dry": DryParams(multiplier=2.0, allowed_length=1)},
    "all": {
        "temperature": 1.3,
        "top_k": 60,
        "top_p": 0.9,
        "min_p": 0.001,
        "logit_bias": {4: 1.0},
        "frequency_penalty": 0.3,
        "presence_penalty": 0.2,
        "repetition_penalty": 1.2,
        "dry": DryParams(multiplier=1.0, allowed_length=1),
    },
}


def test_every_token_is_drawn_as_its_row_defines(
    harness: Harness, prompts: list[list[int]], network: Any
) -> None:
    requests = [
        sampled(kind, prompts[n % len(prompts)], n, NUM_TOKENS, **asked)
        for n, (kind, asked) in enumerate(KINDS.items())
    ]

    answers = harness.run(*requests)

    wrong = []
    for request, tokens in zip(requests, answers, strict=True):
        logits = logits_after_each(network, list(request.prompt), tokens)
        for position, token in enumerate(tokens):
            asked = replace(request, generated=tokens[:position])
            if not is_right(token, scores_of(logits[position], asked), asked, TOLERANCE):
                wrong.append((request.sequence_id, position))
    assert wrong == []


def scores_of(logits: np.ndarray, asked: GenerationRequest) -> np.ndarray:
    scores = by_definition(logits, asked)
    if asked.params.dry is not None:
        matcher = DryMatcher(asked.params.dry, [*asked.prompt, *asked.generated])
        for token, penalty in penalties_of(matcher).items():
            scores[token] -= penalty
    return scores
