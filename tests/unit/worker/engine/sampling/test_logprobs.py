import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import grammar_from

from tests.unit.worker.engine.conftest import TOKEN_BYTES, EngineFactory
from tests.unit.worker.engine.harness import Harness, sampled
from worker.engine.interface import LOGPROB_FLOOR, Delta, Logprobs
from worker.engine.sampling.logprobs import RawScores
from worker.engine.sampling.sampler import NO_TOKEN

VOCAB_SIZE = 300
DIGITS = grammar_from("regex", "[0-9]{8}")

Prompts = list[list[int]]


def by_definition(scores: np.ndarray, token: int, num_top: int) -> tuple[float, list[float]]:
    """Return the log probabilities of a token and of the most likely ones, slowly in float64."""
    exact = scores.astype(np.float64)
    logprobs = exact - math.log(np.exp(exact - exact.max()).sum()) - exact.max()
    return logprobs[token], sorted(logprobs, reverse=True)[:num_top]


def logprobs_of(raw: RawScores, tokens: list[int | None]) -> list[Logprobs | None]:
    """Return the log probabilities of these tokens that reach the host; None means no token."""
    drawn = torch.tensor([NO_TOKEN if token is None else token for token in tokens])
    return raw.unpack(raw.pack(drawn), tokens)


@settings(deadline=None, max_examples=60)
@given(
    num_top=st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=1, max_size=8),
    seed=st.integers(0, 999),
)
def test_rows_that_ask_get_what_the_definition_says(num_top: list[int | None], seed: int) -> None:
    numbers = np.random.default_rng(seed)
    scores = numbers.normal(0, 4, (len(num_top), VOCAB_SIZE)).astype(np.float32)
    tokens: list[int | None] = numbers.integers(0, VOCAB_SIZE, len(num_top)).tolist()
    logits = torch.from_numpy(scores.copy())

    raw = RawScores(logits, num_top)
    logits.zero_()
    found = logprobs_of(raw, tokens)

    for row, count in enumerate(num_top):
        if count is None:
            assert found[row] is None
            continue
        drawn, top = by_definition(scores[row], tokens[row] or 0, count)
        logprobs = found[row]
        assert logprobs is not None
        assert logprobs.drawn == pytest.approx(drawn, abs=1e-4)
        assert [value for _, value in logprobs.top] == pytest.approx(top, abs=1e-4)
        for token, value in logprobs.top:
            assert value == pytest.approx(by_definition(scores[row], token, 0)[0], abs=1e-4)


def test_a_token_that_the_model_rules_out_has_the_floor() -> None:
    logits = torch.tensor([[0.0, -math.inf]])

    [found] = logprobs_of(RawScores(logits, [2]), [1])

    assert found == Logprobs(LOGPROB_FLOOR, ((0, 0.0), (1, LOGPROB_FLOOR)))


def test_a_row_without_a_token_has_none() -> None:
    raw = RawScores(torch.full((1, 4), math.nan), [3])

    assert logprobs_of(raw, [None]) == [None]


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


def test_asking_changes_no_token_of_any_row_also_when_rows_are_preempted(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    """Run 3 answers of 60 tokens in a cache of 160 tokens, so that some are preempted."""
    starts = [prompts[0][n : n + 20] for n in range(3)]
    plain = make_engine().run(*(sampled(str(n), p, n, 40) for n, p in enumerate(starts)))
    tight = make_engine(kv_cache_bytes=160 * TOKEN_BYTES)
    preempted = tight.count_preemptions()

    asked = tight.run(
        *(sampled(str(n), p, n, 40, num_top_logprobs=n or None) for n, p in enumerate(starts))
    )

    assert asked == plain
    assert preempted
    assert all(delta.logprobs is None for delta in tight.deltas["0"])
    assert [len(delta.logprobs.top) for delta in tight.deltas["2"] if delta.logprobs] == [2] * 40


@torch.inference_mode()
def logits_after_each(network: Any, prompt: list[int], tokens: list[int]) -> np.ndarray:
    """Return the logits that each token is drawn from, [tokens, vocab]."""
    ids = torch.tensor([[*prompt, *tokens]])
    logits: np.ndarray = network(ids).logits[0, len(prompt) - 1 : -1].numpy()
    return logits


def check(delta: Delta, scores: np.ndarray, num_top: int) -> None:
    assert delta.token_id is not None
    assert delta.logprobs is not None
    drawn, top = by_definition(scores, delta.token_id, num_top)
    assert delta.logprobs.drawn == pytest.approx(drawn, abs=1e-3)
    assert [value for _, value in delta.logprobs.top] == pytest.approx(top, abs=1e-3)
