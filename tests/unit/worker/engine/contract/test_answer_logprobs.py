"""Log probabilities of a running engine: those of the network, whatever decides the draw."""

from typing import Any

import numpy as np
import pytest
from llguidance import grammar_from

from tests.unit.worker.engine.contract.network_logits import logits_after_each
from tests.unit.worker.engine.harness import Harness, sampled
from tests.unit.worker.engine.sampling.test_logprobs import by_definition
from worker.engine.interface import Delta

DIGITS = grammar_from("regex", "[0-9]{8}")

Prompts = list[list[int]]

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "greedy": {"temperature": 0},
    "hot and cut": {"temperature": 1.7, "top_k": 40, "top_p": 0.9, "min_p": 0.01},
    "biased": {"logit_bias": {7: 9.0, 8: -100.0}},
    "penalised": {"frequency_penalty": 2.0, "presence_penalty": 1.0, "repetition_penalty": 1.5},
}


@pytest.mark.parametrize("asked", KINDS.values(), ids=KINDS)
def test_they_are_those_of_the_network_whatever_decides_the_draw(
    harness: Harness, prompts: Prompts, network: Any, asked: dict[str, Any]
) -> None:
    prompt = prompts[2]

    [tokens] = harness.run(sampled("it", prompt, 5, num_top_logprobs=5, **asked))

    expected = logits_after_each(network, prompt, tokens)
    for delta, scores in zip(harness.deltas["it"], expected, strict=True):
        check(delta, scores, num_top=5)


def test_a_grammar_changes_the_draw_and_not_the_log_probabilities(
    harness: Harness, prompts: Prompts, network: Any
) -> None:
    request = sampled("it", prompts[2], 5, num_top_logprobs=3, grammar=DIGITS)

    [tokens] = harness.run(request)

    expected = logits_after_each(network, prompts[2], tokens)
    for delta, scores in zip(harness.deltas["it"], expected, strict=True):
        check(delta, scores, num_top=3)
    assert harness.deltas["it"][0].logprobs.drawn < -1  # type: ignore[union-attr]


def check(delta: Delta, scores: np.ndarray, num_top: int) -> None:
    assert delta.token_id is not None
    assert delta.logprobs is not None
    drawn, top = by_definition(scores, delta.token_id, num_top)
    assert delta.logprobs.drawn == pytest.approx(drawn, abs=1e-3)
    assert [value for _, value in delta.logprobs.top] == pytest.approx(top, abs=1e-3)
