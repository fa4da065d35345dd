import pytest
import torch

from tests.unit.worker.engine.conftest import TOKEN_BYTES, EngineFactory, Oracle
from tests.unit.worker.engine.harness import Harness, greedy
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


def test_a_second_turn_reuses_the_blocks_of_the_first(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    [answer] = harness.run(greedy("first", prompts[0], NUM_TOKENS))
    follow_up = [*prompts[0], *answer, *prompts[1]]

    [output] = harness.run(greedy("second", follow_up, NUM_TOKENS))

    assert harness.deltas["second"][0].num_cached_tokens == 96
    assert output == oracle(follow_up, NUM_TOKENS)


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
