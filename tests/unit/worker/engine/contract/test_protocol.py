"""Contract of the engine interface, tested with every engine."""

import threading
from collections.abc import Iterator

import pytest

from tests.unit.worker.engine.conftest import EngineFactory
from tests.unit.worker.engine.contract.engines import ENGINES
from tests.unit.worker.engine.harness import DEADLINE_S, Harness, greedy
from worker.engine.interface import Delta, EngineStoppedError, FinishReason, RequestTooLargeError
from worker.engine.scripted import ScriptedEngine

PROMPT = [10, 20, 30]


def scripted(max_sequences: int) -> Harness:
    harness = Harness()
    harness.engine = ScriptedEngine(
        num_tokens=50, interval_s=0.001, max_sequences=max_sequences, on_step=harness.on_step
    )
    harness.engine.start()
    return harness


@pytest.fixture(params=[*ENGINES, "scripted"])
def forward(request: pytest.FixtureRequest) -> str:
    """Return the name of what computes; in the scripted engine nothing does."""
    return str(request.param)


@pytest.fixture
def harness(forward: str, make_engine: EngineFactory) -> Iterator[Harness]:
    """Start an engine that runs two sequences at a time."""
    is_scripted = forward == "scripted"
    harness = scripted(max_sequences=2) if is_scripted else make_engine(max_sequences=2)
    yield harness
    harness.engine.stop()


def stall(harness: Harness) -> threading.Event:
    """Block the engine in its listener after the next step, until the returned event is set."""
    go_on = threading.Event()

    def wait(_: list[Delta]) -> None:
        go_on.wait(DEADLINE_S)

    harness.on_step_hook = wait
    return go_on


def test_every_sequence_ends_once_with_its_number_of_tokens(harness: Harness) -> None:
    outputs = harness.run(*(greedy(str(n), PROMPT, n) for n in range(1, 8)))

    assert [len(tokens) for tokens in outputs] == [1, 2, 3, 4, 5, 6, 7]
    for deltas in harness.deltas.values():
        assert [d.finish_reason for d in deltas if d.finish_reason] == [FinishReason.LENGTH]
        assert deltas[-1].finish_reason


def test_a_step_gives_each_running_sequence_at_most_one_delta(harness: Harness) -> None:
    harness.run(greedy("a", PROMPT), greedy("b", PROMPT), greedy("c", PROMPT))

    for deltas in harness.steps:
        ids = [delta.sequence_id for delta in deltas]
        assert 0 < len(ids) == len(set(ids)) <= 2


def test_an_answer_goes_on_after_the_tokens_of_an_earlier_attempt(harness: Harness) -> None:
    [whole] = harness.run(greedy("whole", PROMPT))

    [rest] = harness.run(greedy("rest", PROMPT, generated=whole[:5]))

    assert rest == whole[5:]
    assert harness.reason("rest") is FinishReason.LENGTH


def test_an_answer_that_was_complete_ends_without_a_token(harness: Harness) -> None:
    [whole] = harness.run(greedy("whole", PROMPT))

    assert harness.run(greedy("rest", PROMPT, generated=whole)) == [[]]
    assert harness.reason("rest") is FinishReason.LENGTH


def test_a_prompt_alone_is_computed_and_no_token_drawn(harness: Harness) -> None:
    prompt = [*range(80)]

    warm, following = harness.run(greedy("warm", prompt, 0), greedy("next", [*prompt, 5], 1))

    assert (warm, len(following)) == ([], 1)

    assert [delta.finish_reason for delta in harness.deltas["warm"]] == [FinishReason.LENGTH]
    assert harness.engine.num_running == harness.engine.num_waiting == 0


def test_an_abort_ends_a_running_sequence(harness: Harness) -> None:
    harness.on_step_hook = lambda deltas: harness.engine.abort("a")

    [tokens, others] = harness.run(greedy("a", PROMPT, 40), greedy("b", PROMPT, 10))

    assert harness.reason("a") is FinishReason.ABORTED
    assert len(tokens) < 40
    assert len(others) == 10


def test_aborts_may_come_twice_while_waiting_or_for_nobody(harness: Harness) -> None:
    go_on = stall(harness)
    for name in "abc":
        harness.engine.submit(greedy(name, PROMPT))
    for name in ("c", "c", "nobody"):
        harness.engine.abort(name)
    go_on.set()
    harness.wait("a", "b", "c")

    assert [delta.finish_reason for delta in harness.deltas["c"]] == [FinishReason.ABORTED]
    assert "nobody" not in harness.deltas


def test_counts_and_age_tell_what_the_engine_does(harness: Harness) -> None:
    assert harness.engine.last_step_age_s is None
    go_on = stall(harness)
    for name in "abcd":
        harness.engine.submit(greedy(name, PROMPT))
    harness.wait_until(lambda: len(harness.steps) > 0)
    age = harness.engine.last_step_age_s

    assert age is not None
    assert age >= 0
    assert harness.engine.num_running + harness.engine.num_waiting == 4
    assert harness.engine.num_running <= 2
    go_on.set()
    harness.wait("a", "b", "c", "d")
    assert harness.engine.num_running == harness.engine.num_waiting == 0


def test_a_prompt_beyond_the_context_is_refused(harness: Harness) -> None:
    with pytest.raises(RequestTooLargeError):
        harness.engine.submit(greedy("it", [1] * harness.engine.context_length))


def test_an_empty_prompt_is_refused(harness: Harness) -> None:
    with pytest.raises(ValueError, match="empty"):
        harness.engine.submit(greedy("it", []))


def test_an_id_can_be_used_again_only_after_its_end(harness: Harness) -> None:
    go_on = stall(harness)
    harness.engine.submit(greedy("it", PROMPT))

    with pytest.raises(ValueError, match="in use"):
        harness.engine.submit(greedy("it", PROMPT))

    go_on.set()
    harness.wait("it")
    harness.deltas.clear()
    assert len(harness.run(greedy("it", PROMPT, 3))[0]) == 3


def test_stopping_aborts_what_runs_and_what_waits(harness: Harness) -> None:
    for name in "abcd":
        harness.engine.submit(greedy(name, PROMPT, 49))
    harness.wait_until(lambda: bool(harness.tokens("a")))

    harness.engine.stop()

    assert {harness.reason(name) for name in "abcd"} == {FinishReason.ABORTED}
    with pytest.raises(EngineStoppedError):
        harness.engine.submit(greedy("e", PROMPT))


def test_stopping_twice_or_while_idle_is_harmless(harness: Harness) -> None:
    harness.engine.stop()
    harness.engine.stop()

    assert harness.steps == []


def test_a_listener_that_fails_does_not_stop_the_engine(harness: Harness) -> None:
    def fail(deltas: list[Delta]) -> None:
        raise RuntimeError("the listener is broken")

    harness.on_step_hook = fail

    assert len(harness.run(greedy("it", PROMPT, 5))[0]) == 5


def test_requests_may_come_from_many_threads(harness: Harness) -> None:
    names = [str(n) for n in range(20)]
    threads = [
        threading.Thread(target=harness.engine.submit, args=(greedy(name, PROMPT, 4),))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    harness.wait(*names)

    assert {tuple(harness.tokens(name)) for name in names} == {tuple(harness.tokens("0"))}
