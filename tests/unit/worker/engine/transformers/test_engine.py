import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.unit.worker.engine.conftest import TOKEN_BYTES, VOCAB_SIZE, EngineFactory, Oracle
from tests.unit.worker.engine.harness import Harness, greedy, sampled
from worker.engine.interface import Delta, FinishReason, RequestTooLargeError

NUM_TOKENS = 20

Prompts = list[list[int]]


@pytest.mark.parametrize("max_batch_tokens", [512, 24, 1])
def test_a_batch_gives_each_prompt_what_generate_gives_it_alone(
    make_engine: EngineFactory, oracle: Oracle, prompts: Prompts, max_batch_tokens: int
) -> None:
    harness = make_engine(max_batch_tokens=max_batch_tokens)

    outputs = harness.run(*(greedy(str(i), p, NUM_TOKENS) for i, p in enumerate(prompts)))

    assert outputs == [oracle(prompt, NUM_TOKENS) for prompt in prompts]


def test_preempted_sequences_still_get_what_generate_gives(
    make_engine: EngineFactory, oracle: Oracle, prompts: Prompts
) -> None:
    harness = make_engine(kv_cache_bytes=160 * TOKEN_BYTES)
    num_running: list[int] = []
    harness.on_step_hook = lambda deltas: num_running.append(harness.engine.num_running)
    starts = [prompts[0][i : i + 20] for i in range(3)]

    outputs = harness.run(*(greedy(str(i), p, 40) for i, p in enumerate(starts)))

    before_any_end = num_running[: next(i for i, n in enumerate(harness.steps) if _has_end(n))]
    assert max(before_any_end) == 3
    assert before_any_end[-1] < 3
    assert outputs == [oracle(prompt, 40) for prompt in starts]


def _has_end(deltas: list[Delta]) -> bool:
    return any(delta.finish_reason for delta in deltas)


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


def test_a_second_turn_reuses_the_blocks_of_the_first(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    [answer] = harness.run(greedy("first", prompts[0], NUM_TOKENS))
    follow_up = [*prompts[0], *answer, *prompts[1]]

    [output] = harness.run(greedy("second", follow_up, NUM_TOKENS))

    assert harness.deltas["second"][0].num_cached_tokens == 96
    assert output == oracle(follow_up, NUM_TOKENS)


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


def test_an_answer_ends_where_the_context_does(
    make_engine: EngineFactory, oracle: Oracle, prompts: Prompts
) -> None:
    harness = make_engine(kv_cache_bytes=96 * TOKEN_BYTES)

    [output] = harness.run(greedy("it", prompts[2], max_tokens=1000))

    assert harness.engine.context_length == 96
    assert output == oracle(prompts[2], 96 - len(prompts[2]))
    assert harness.reason("it") is FinishReason.LENGTH


def test_a_prompt_that_fills_the_context_is_refused(make_engine: EngineFactory) -> None:
    harness = make_engine(kv_cache_bytes=96 * TOKEN_BYTES)

    with pytest.raises(RequestTooLargeError, match="96"):
        harness.engine.submit(greedy("it", [1] * 96))


@pytest.mark.parametrize("token", [-1, VOCAB_SIZE])
def test_a_token_that_the_model_has_not_is_refused(harness: Harness, token: int) -> None:
    with pytest.raises(ValueError, match="token ids"):
        harness.engine.submit(greedy("it", [1, token]))


def test_a_row_without_finite_scores_fails_alone(
    harness: Harness, oracle: Oracle, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = harness.engine._runner  # type: ignore[attr-defined]
    forward = runner.forward

    def poison_the_second(batch):  # type: ignore[no-untyped-def]
        logits = forward(batch)
        due = [chunk.sequence.id for chunk in batch if chunk.is_last]
        if "1" in due:
            logits[due.index("1")] = float("nan")
        return logits

    monkeypatch.setattr(runner, "forward", poison_the_second)
    outputs = harness.run(*(greedy(str(i), p) for i, p in enumerate(prompts[:2])))

    assert harness.reason("1") is FinishReason.ERROR
    assert outputs == [oracle(prompts[0], 12), []]


def test_a_step_that_fails_ends_its_sequences_and_not_the_engine(
    harness: Harness, oracle: Oracle, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(harness.engine._runner, "forward", fail)  # type: ignore[attr-defined]
        harness.run(greedy("a", prompts[0]), greedy("b", prompts[1]))

    assert harness.deltas["a"][-1].error == "RuntimeError: no memory"
    assert harness.reason("b") is FinishReason.ERROR
    assert harness.run(greedy("a again", prompts[0])) == [oracle(prompts[0], 12)]


def test_memory_is_that_of_the_device_that_computes(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, resident = harness.engine.device_memory()
    assert device == "cpu"
    assert resident > 50 << 20  # torch alone takes more

    cuda = torch.device("cuda")
    monkeypatch.setattr("worker.engine.transformers.engine.resolve_device", lambda _: cuda)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 123)
    assert harness.engine.device_memory() == ("cuda", 123)
