"""Answers of a running engine: those of the network, whoever else is in the batch, and resumed."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.worker.engine.conftest import VOCAB_SIZE, EngineFactory, Oracle
from tests.unit.worker.engine.harness import Harness, greedy, sampled
from worker.engine.interface import Delta, FinishReason
from worker.engine.params import choice_seed

NUM_TOKENS = 20

Prompts = list[list[int]]


def test_sequences_that_join_later_change_nothing(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    late = [greedy(str(i), p, NUM_TOKENS) for i, p in enumerate(prompts)]
    first = late.pop()

    def join(_: list[Delta]) -> None:
        if late and len(harness.steps) % 3 == 0:
            harness.engine.submit(late.pop())

    harness.on_step_hook = join
    harness.engine.submit(first)
    ids = [str(i) for i in range(len(prompts))]
    harness.wait(*ids)

    assert [harness.tokens(i) for i in ids] == [oracle(p, NUM_TOKENS) for p in prompts]


def test_a_prefix_is_not_shared_across_salts(harness: Harness, prompts: Prompts) -> None:
    harness.run(greedy("mine", prompts[0], cache_salt=b"mine"))

    harness.run(greedy("yours", prompts[0], cache_salt=b"yours"), greedy("open", prompts[0]))

    assert harness.deltas["yours"][0].num_cached_tokens == 0
    assert harness.deltas["open"][0].num_cached_tokens == 0


def test_a_greedy_answer_resumes_at_every_position(harness: Harness, prompts: Prompts) -> None:
    [whole] = harness.run(greedy("whole", prompts[2]))

    rests = harness.run(
        *(greedy(str(n), prompts[2], generated=whole[:n]) for n in range(len(whole) + 1))
    )

    assert rests == [whole[n:] for n in range(len(whole) + 1)]
    assert harness.reason(str(len(whole))) is FinishReason.LENGTH


def test_a_sampled_answer_resumes_at_every_position(harness: Harness, prompts: Prompts) -> None:
    [whole] = harness.run(sampled("whole", prompts[2], seed=5))

    rests = harness.run(
        *(sampled(str(n), prompts[2], seed=5, generated=whole[:n]) for n in range(len(whole)))
    )

    assert rests == [whole[n:] for n in range(len(whole))]


def test_a_seed_gives_the_same_tokens_alone_and_in_a_batch(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    [alone] = make_engine().run(sampled("it", prompts[0], seed=7))

    together = make_engine().run(
        *(sampled(str(i), p, seed=i) for i, p in enumerate(prompts)),
        sampled("it", prompts[0], seed=7),
    )

    assert together[-1] == alone
    assert together[0] != alone


def test_an_abort_ends_one_sequence_and_leaves_the_others(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    def abort_the_second(_: list[Delta]) -> None:
        if len(harness.tokens("1")) == 3:
            harness.engine.abort("1")

    harness.on_step_hook = abort_the_second
    outputs = harness.run(*(greedy(str(i), p, NUM_TOKENS) for i, p in enumerate(prompts)))

    assert harness.reason("1") is FinishReason.ABORTED
    assert len(outputs.pop(1)) == 3
    others = [prompt for i, prompt in enumerate(prompts) if i != 1]
    assert outputs == [oracle(prompt, NUM_TOKENS) for prompt in others]


def test_the_end_token_is_delivered_with_the_reason_stop(
    make_engine: EngineFactory, folder: Path, oracle: Oracle, prompts: Prompts, tmp_path: Path
) -> None:
    expected = oracle(prompts[0], NUM_TOKENS)
    end = expected[6]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [255, end]}))
    harness = make_engine(folder=tmp_path)

    [output] = harness.run(greedy("it", prompts[0], NUM_TOKENS, ignore_eos=False))

    assert output == expected[: expected.index(end) + 1]
    assert harness.reason("it") is FinishReason.STOP


@pytest.mark.parametrize("token", [-1, VOCAB_SIZE])
def test_a_token_that_the_model_has_not_is_refused(harness: Harness, token: int) -> None:
    with pytest.raises(ValueError, match="token ids"):
        harness.engine.submit(greedy("it", [1, token]))


def test_a_batch_gives_each_prompt_what_generate_gives_it_alone(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    outputs = harness.run(*(greedy(str(i), p, NUM_TOKENS) for i, p in enumerate(prompts)))

    assert outputs == [oracle(prompt, NUM_TOKENS) for prompt in prompts]


def test_a_second_turn_finds_the_first_in_the_cache(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    [answer] = harness.run(greedy("first", prompts[0], NUM_TOKENS))
    follow_up = [*prompts[0], *answer, *prompts[1]]

    [output] = harness.run(greedy("second", follow_up, NUM_TOKENS))

    assert 64 <= harness.deltas["second"][0].num_cached_tokens < len(follow_up)
    assert output == oracle(follow_up, NUM_TOKENS)


def test_choices_differ_and_each_resumes_where_it_was(harness: Harness, prompts: Prompts) -> None:
    whole = harness.run(
        *(sampled(f"{n}", prompts[0], choice_seed(5, n), NUM_TOKENS) for n in range(4))
    )

    rests = harness.run(
        *(
            sampled(
                f"rest {n}", prompts[0], choice_seed(5, n), NUM_TOKENS, generated=tokens[: 3 * n]
            )
            for n, tokens in enumerate(whole)
        )
    )

    assert len({tuple(tokens) for tokens in whole}) == 4
    assert rests == [tokens[3 * n :] for n, tokens in enumerate(whole)]


def test_an_answer_ends_where_the_context_does(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    prompt = prompts[0] * 5

    [output] = harness.run(greedy("it", prompt, max_tokens=1000))

    assert len(prompt) + len(output) == harness.engine.context_length == 512
    assert output == oracle(prompt, len(output))
    assert harness.reason("it") is FinishReason.LENGTH
