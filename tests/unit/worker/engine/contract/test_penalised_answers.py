"""Penalties, logit bias and DRY in a running engine: in any batch, and resumed at any token."""

from typing import Any

import pytest

from tests.unit.worker.engine.conftest import EOS, VOCAB_SIZE, EngineFactory
from tests.unit.worker.engine.harness import Harness, sampled
from worker.engine.params import DryParams

NUM_TOKENS = 16

Prompts = list[list[int]]

KINDS: dict[str, dict[str, Any]] = {
    "bias": {"logit_bias": {7: 5.0, 8: -100.0}},
    "frequency": {"frequency_penalty": 2.0, "temperature": 0},
    "presence": {"presence_penalty": -2.0},
    "repetition": {"repetition_penalty": 1.5, "temperature": 0},
    "DRY": {"dry": DryParams(multiplier=5.0, allowed_length=1), "temperature": 0},
    "all": {
        "logit_bias": {3: 1.0},
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "repetition_penalty": 1.1,
        "dry": DryParams(multiplier=1.0, breaker_moves={9: [(0, -1)]}),
        "top_k": 50,
        "min_p": 0.01,
    },
}


@pytest.mark.parametrize("asked", KINDS.values(), ids=KINDS)
def test_an_answer_resumes_at_every_token(
    harness: Harness, prompts: Prompts, asked: dict[str, Any]
) -> None:
    [whole] = harness.run(sampled("whole", prompts[2], 5, NUM_TOKENS, **asked))

    rests = harness.run(
        *(
            sampled(str(n), prompts[2], 5, NUM_TOKENS, generated=whole[:n], **asked)
            for n in range(NUM_TOKENS)
        )
    )

    assert rests == [whole[n:] for n in range(NUM_TOKENS)]


def test_each_of_a_mixed_batch_gets_what_it_gets_alone(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    kinds: list[dict[str, Any]] = [{}, *KINDS.values(), {"temperature": 0}]
    requests = [
        sampled(str(n), prompts[n % len(prompts)], n, NUM_TOKENS, **asked)
        for n, asked in enumerate(kinds)
    ]
    one_by_one = make_engine()

    together = make_engine().run(*requests)

    assert together == [one_by_one.run(request)[0] for request in requests]


def test_every_kind_changes_the_answer(harness: Harness, prompts: Prompts) -> None:
    plain = harness.run(
        sampled("sampled", prompts[2], 5, NUM_TOKENS),
        sampled("greedy", [5] * 30, 5, NUM_TOKENS, temperature=0),
    )

    for name, asked in KINDS.items():
        prompt = [5] * 30 if asked.get("temperature") == 0 else prompts[2]
        [answer] = harness.run(sampled(name, prompt, 5, NUM_TOKENS, **asked))
        assert answer not in plain, name


def test_an_end_token_may_be_ignored(harness: Harness, prompts: Prompts) -> None:
    bias = {EOS: 100.0}

    ended, ignored = harness.run(
        sampled("ended", prompts[2], 5, 4, logit_bias=bias, ignore_eos=False),
        sampled("ignored", prompts[2], 5, 4, logit_bias=bias, ignore_eos=True),
    )

    assert (ended, ignored) == ([EOS], [EOS] * 4)


def test_a_bias_of_a_token_that_the_model_has_not_is_refused(harness: Harness) -> None:
    with pytest.raises(ValueError, match="token ids"):
        harness.engine.submit(sampled("it", [1], 5, logit_bias={VOCAB_SIZE: 1.0}))
