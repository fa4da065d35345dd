import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import grammar_from

from tests.unit.worker.engine.conftest import TOKEN_BYTES, EngineFactory
from tests.unit.worker.engine.harness import sampled
from worker.engine.interface import LOGPROB_FLOOR, Logprobs
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
