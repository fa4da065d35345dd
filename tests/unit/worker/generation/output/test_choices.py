"""Several choices of one response, each with its own items, stop string, end and resumption."""

from typing import Any

import orjson
import pytest

from models.responses.status import ResponseStatus
from models.responses.tokens import group_by_choice
from models.store.finish import TerminalRecord
from tests.unit.worker.generation.memory_log import MemoryLog, begin, take_over
from tests.unit.worker.generation.test_emitter import EmitterHarness
from worker.engine.interface import Delta, FinishReason
from worker.generation.generation import Generation

_TEXTS = [b"one", b"two by two", "dreißig END x".encode(), b"4"]
_ENDS = [FinishReason.STOP, FinishReason.LENGTH, FinishReason.STOP, FinishReason.GRAMMAR]


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def deliver(
    generation: Generation, choice: int, token: int | None, end: FinishReason | None
) -> bool:
    sequence_id = generation.sequence_ids[choice]
    return generation.advance(
        Delta(sequence_id=sequence_id, token_id=token, finish_reason=end, error=end and "it broke")
    )


def run(
    generation: Generation, *, num_steps: int = 99, skip: dict[int, list[int]] | None = None
) -> bool:
    """Let an engine generate `_TEXTS`, one token per step, after the tokens that are there."""
    is_over = False
    left = {
        choice: list(text[len((skip or {}).get(choice, [])) :])
        for choice, text in enumerate(_TEXTS[: len(generation.choices)])
        if generation.choices[choice].is_generating
    }
    for _ in range(num_steps):
        for choice, tokens in list(left.items()):
            token = tokens.pop(0) if tokens else None
            end = None if tokens else _ENDS[choice]
            is_over = deliver(generation, choice, token, end)
            if end or generation.pop_unwanted():
                del left[choice]
    return is_over


def events_of(ending: TerminalRecord) -> list[dict[str, Any]]:
    return [orjson.loads(event) for event in ending.events]


def texts_of(ending: TerminalRecord) -> list[tuple[str, str]]:
    return [(item["content"][0]["text"], item["status"]) for item in ending.output]


def test_each_choice_is_an_item_of_its_own(log: MemoryLog) -> None:
    generation = begin(log, n=4, stop=["END"])

    assert run(generation)

    ending = generation.recorder.finish(generation.cause)
    assert texts_of(ending) == [
        ("one", "completed"),
        ("two by two", "incomplete"),
        ("dreißig ", "completed"),
        ("4", "completed"),
    ]
    deltas = [event for event in events_of(ending) if event["type"] == "response.output_text.delta"]
    assert [event["output_index"] for event in deltas[:5]] == [0, 1, 2, 3, 0]
    assert len({item["id"] for item in ending.output}) == 4


def test_usage_is_that_of_all_choices_and_of_one_prompt(log: MemoryLog) -> None:
    generation = begin(log, n=4, stop=["END"])

    run(generation)

    usage = generation.usage()
    assert (usage.input_tokens, usage.output_tokens) == (7, 3 + 10 + 12 + 1)


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([FinishReason.STOP, FinishReason.GRAMMAR], ResponseStatus.COMPLETED),
        ([FinishReason.STOP, FinishReason.LENGTH], ResponseStatus.INCOMPLETE),
        ([FinishReason.LENGTH, FinishReason.STOP], ResponseStatus.INCOMPLETE),
        ([FinishReason.LENGTH, FinishReason.ABORTED], ResponseStatus.CANCELLED),
        ([FinishReason.STOP, FinishReason.ABORTED], ResponseStatus.CANCELLED),
        ([FinishReason.STOP, FinishReason.ERROR], ResponseStatus.FAILED),
    ],
)
def test_the_ends_of_all_decide_the_end_of_the_response(
    log: MemoryLog, ends: list[FinishReason], status: ResponseStatus
) -> None:
    generation = begin(log, n=2)

    assert not deliver(generation, 0, ord("a"), ends[0])
    assert deliver(generation, 1, ord("b"), ends[1])

    assert generation.cause.status is status
    ending = generation.recorder.finish(generation.cause)
    kept = [(text, end) for text, end in texts_of(ending) if end == "completed"]
    assert len(kept) == sum(end in (FinishReason.STOP, FinishReason.GRAMMAR) for end in ends)


def test_an_error_of_one_ends_all_at_once(log: MemoryLog) -> None:
    generation = begin(log, n=3)
    deliver(generation, 2, ord("c"), FinishReason.STOP)

    assert deliver(generation, 1, None, FinishReason.ERROR)

    assert generation.cause.error == {"code": "server_error", "message": "it broke"}
    assert generation.pop_unwanted() == [generation.sequence_ids[0]]
    assert generation.pop_unwanted() == []


def test_a_stop_string_ends_its_own_choice_alone() -> None:
    harness = EmitterHarness()
    generation = harness.add(begin(harness.log, n=2, stop=["b"]))
    first, second = generation.sequence_ids

    harness.run(
        [Delta(sequence_id=first, token_id=ord("a")), Delta(sequence_id=second, token_id=ord("x"))],
        [Delta(sequence_id=first, token_id=ord("b")), Delta(sequence_id=second, token_id=ord("y"))],
        [Delta(sequence_id=first, token_id=ord("c")), Delta(sequence_id=second, token_id=ord("z"))],
        [Delta(sequence_id=first, token_id=None, finish_reason=FinishReason.ABORTED)],
        [Delta(sequence_id=second, token_id=None, finish_reason=FinishReason.STOP)],
    )

    assert harness.aborted == [first]
    assert harness.ended == [generation]
    assert texts_of(generation.recorder.finish(generation.cause)) == [
        ("a", "completed"),
        ("xyz", "completed"),
    ]
    assert generation.usage().output_tokens == 5


def test_a_choice_without_text_is_an_item_too(log: MemoryLog) -> None:
    generation = begin(log, n=2)

    deliver(generation, 1, ord("b"), FinishReason.STOP)
    deliver(generation, 0, None, FinishReason.STOP)

    ending = generation.recorder.finish(generation.cause)
    assert texts_of(ending) == [("", "completed"), ("b", "completed")]


@pytest.mark.parametrize("num_steps", range(14))
def test_each_choice_goes_on_where_it_was_lost(log: MemoryLog, num_steps: int) -> None:
    whole = begin(MemoryLog(), n=4, stop=["END"])
    run(whole)
    first = begin(log, n=4, stop=["END"])
    run(first, num_steps=num_steps)
    first.recorder.flush()
    before = list(log.events[first.record.id])

    second, found = take_over(log, first, stop=["END"])
    if not second.resume_logged(found):
        run(second, skip=group_by_choice(found))

    assert second.usage() == whole.usage()
    ending = second.recorder.finish(second.cause)
    assert texts_of(ending) == texts_of(whole.recorder.finish(whole.cause))
    events = events_of(ending)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert list(ending.events)[2 : 2 + len(before)] == [event.data for event in before]


@pytest.mark.parametrize("num_steps", [1, 4, 9])
def test_a_checkpoint_makes_the_same_events_again(log: MemoryLog, num_steps: int) -> None:
    first = begin(log, n=4, stop=["END"])
    run(first, num_steps=num_steps)
    first.recorder.flush()
    reached = first.checkpointed_record()
    assert reached is not None
    assert reached.checkpoint is not None

    again = MemoryLog()
    second, found = take_over(again, first, stop=["END"])
    second.resume_logged(found)
    second.resume_unlogged(reached.checkpoint.beyond(found))
    second.recorder.flush()

    assert again.events[first.record.id] == log.events[first.record.id]


def test_a_cancel_ends_all_that_still_generate(log: MemoryLog) -> None:
    generation = begin(log, n=3)
    deliver(generation, 0, ord("a"), FinishReason.STOP)
    deliver(generation, 1, ord("b"), None)

    assert not deliver(generation, 1, None, FinishReason.ABORTED)
    assert deliver(generation, 2, None, FinishReason.ABORTED)

    assert texts_of(generation.recorder.finish(generation.cause)) == [
        ("a", "completed"),
        ("b", "incomplete"),
        ("", "incomplete"),
    ]
