"""Several choices of one request in a running engine."""

from typing import Any

import pytest

from tests.unit.worker.engine.conftest import TOKEN_BYTES, EngineFactory
from tests.unit.worker.engine.harness import Harness, sampled
from worker.engine.interface import GenerationRequest
from worker.engine.params import choice_seed

NUM_TOKENS = 20

Prompts = list[list[int]]


def choices_of(
    prompt: list[int],
    count: int,
    generated: dict[int, list[int]] | None = None,
    num_tokens: int = NUM_TOKENS,
) -> list[GenerationRequest]:
    return [
        sampled(
            f"it/{choice}",
            prompt,
            choice_seed(5, choice),
            num_tokens,
            generated=(generated or {}).get(choice, ()),
        )
        for choice in range(count)
    ]


def count_computed(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of the number of tokens of each forward pass from now on."""
    computed: list[int] = []
    runner: Any = harness.engine._runner  # type: ignore[attr-defined]
    forward = runner.forward

    def counted(batch: Any) -> Any:
        computed.append(sum(chunk.num_tokens for chunk in batch))
        return forward(batch)

    monkeypatch.setattr(runner, "forward", counted)
    return computed


def test_the_first_of_many_is_the_one_that_comes_alone_and_all_differ(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    [alone] = make_engine().run(*choices_of(prompts[0], 1))

    together = make_engine().run(*choices_of(prompts[0], 16))

    assert together[0] == alone
    assert len({tuple(tokens) for tokens in together}) == 16


def test_sixteen_choices_compute_their_prompt_once(
    harness: Harness, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = count_computed(harness, monkeypatch)

    harness.run(*choices_of(prompts[0], 16))

    last_block = 90 % harness.block_size
    assert sum(computed) == 90 + 15 * last_block + 16 * (NUM_TOKENS - 1)


def test_choices_survive_preemption(make_engine: EngineFactory, prompts: Prompts) -> None:
    """Run six choices of 73 tokens that share 32 of them, in a cache of 192 tokens."""
    roomy = make_engine().run(*choices_of(prompts[2], 6, num_tokens=40))
    tight = make_engine(kv_cache_bytes=192 * TOKEN_BYTES)
    preempted = tight.count_preemptions()

    assert tight.run(*choices_of(prompts[2], 6, num_tokens=40)) == roomy
    assert preempted


def test_each_choice_resumes_where_it_was(
    make_engine: EngineFactory, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_engine().run(*choices_of(prompts[0], 4))
    generated = {choice: tokens[: 3 + 5 * choice] for choice, tokens in enumerate(whole)}
    harness = make_engine()
    computed = count_computed(harness, monkeypatch)

    rests = harness.run(*choices_of(prompts[0], 4, generated))

    assert rests == [tokens[3 + 5 * choice :] for choice, tokens in enumerate(whole)]
    num_rest = sum(len(tokens) for tokens in rests)
    num_generated = sum(len(tokens) for tokens in generated.values())
    assert sum(computed) <= 90 + 3 * (90 % harness.block_size) + num_generated + num_rest
