"""Searches in the middle of an output: requested, answered, cited, and resumed at any token."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from models.profile.formats.table import GENERIC
from models.responses.status import ResponseStatus
from models.schemas.tools.call_items import HostedType
from models.tools.web_search import Hit, call_text, error_text, result_text
from tests.factories import stored_response
from tests.unit.worker.generation.memory_log import MemoryLog, Thinking, begin, take_over
from worker.engine.interface import Delta, FinishReason
from worker.generation.generation import Generation
from worker.generation.output.rules import OutputRules
from worker.hosted.calls import SearchCall

LIMITS: Counter[HostedType] = Counter({"web_search_call": 2})
RULES = OutputRules(max_hosted=LIMITS, shows_sources=True)
SEARCHING = Thinking(call_format=GENERIC, rules=RULES)
HIT = Hit(url="https://a.example/", title="A", text="It is 7.")
FIRST = f"<think>Hm.</think>I look. {call_text('seven')}".encode()
RESULTS = f"\n{result_text([HIT])}\n".encode()
SECOND = b"<think>So.</think>It is 7 [1]."


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def feed(generation: Generation, tokens: bytes, end: FinishReason | None = None) -> None:
    for position, token in enumerate(tokens, start=1):
        reason = end if position == len(tokens) else None
        [sequence_id] = generation.sequence_ids
        generation.advance(Delta(sequence_id=sequence_id, token_id=token, finish_reason=reason))


def add_results(generation: Generation, results: bytes = RESULTS) -> None:
    [choice] = generation.waiting
    generation.add_result(choice, list(results))


def finish(generation: Generation) -> None:
    feed(generation, SECOND, FinishReason.STOP)


def output_of(generation: Generation) -> Sequence[dict[str, Any]]:
    return generation.recorder.finish(generation.cause).output


@pytest.mark.parametrize("end", [None, FinishReason.STOP, FinishReason.GRAMMAR])
def test_it_works(log: MemoryLog, end: FinishReason | None) -> None:
    generation = begin(log, thinking=SEARCHING)

    feed(generation, FIRST, end)
    assert [choice.call for choice in generation.waiting] == [SearchCall("seven")]
    old_id = generation.sequence_ids
    assert generation.pop_unwanted() == ([] if end else old_id)
    add_results(generation)
    assert generation.sequence_ids != old_id
    assert not generation.continue_after_calls()
    finish(generation)

    kinds = ["reasoning", "message", "web_search_call", "reasoning", "message"]
    output = output_of(generation)
    assert [item["type"] for item in output] == kinds
    assert output[2]["status"] == "completed"
    assert output[2]["action"] == {
        "type": "search",
        "query": "seven",
        "sources": [{"type": "url", "url": HIT.url}],
    }
    assert output[2]["results"] == [{"url": HIT.url, "title": "A", "text": "It is 7."}]
    [part] = output[4]["content"]
    [citation] = part["annotations"]
    assert part["text"][citation["start_index"] : citation["end_index"]] == "[1]"
    assert (citation["url"], citation["title"]) == (HIT.url, "A")
    usage = generation.cause.usage
    assert usage is not None
    assert usage.input_tokens == 7 + len(RESULTS)
    assert usage.output_tokens == len(FIRST) + len(SECOND)


def test_its_events_come_as_it_goes(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)

    feed(generation, FIRST)
    generation.recorder.flush()
    before = log.types(generation.record.id)
    add_results(generation)
    generation.recorder.flush()

    assert before[-3:] == [
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
    ]
    after = log.types(generation.record.id)[len(before) :]
    assert after == ["web_search_call.completed", "output_item.done"]


def test_a_search_that_failed_is_told_and_shown_as_failed(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)

    feed(generation, FIRST)
    add_results(generation, error_text("away").encode())
    finish(generation)

    output = output_of(generation)
    assert (output[2]["status"], output[2]["results"]) == ("failed", [])
    assert output[4]["content"][0]["annotations"] == []


def test_one_search_too_many_is_not_made_and_ends_the_response(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)
    for _ in range(2):
        feed(generation, FIRST)
        add_results(generation)

    feed(generation, FIRST)

    assert generation.cause.status is ResponseStatus.COMPLETED
    assert [item["type"] for item in output_of(generation)].count("web_search_call") == 2


def test_a_call_that_is_none_is_part_of_the_answer(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)

    feed(generation, b"<tool_call>{}</tool_call>", FinishReason.STOP)

    assert log.text(generation) == "<tool_call>{}</tool_call>"


def test_the_limit_with_the_last_token_of_a_call_ends_it(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)

    feed(generation, FIRST, FinishReason.LENGTH)

    assert generation.cause.status is ResponseStatus.INCOMPLETE
    assert output_of(generation)[-1]["status"] == "incomplete"


def test_one_that_is_cancelled_while_it_searches_ends_at_once(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)

    feed(generation, FIRST)
    generation.interrupt()

    assert generation.cause.status is ResponseStatus.CANCELLED


def test_one_that_is_released_while_it_searches_is_left_to_the_next_attempt(log: MemoryLog) -> None:
    generation = begin(log, thinking=SEARCHING)
    feed(generation, FIRST)
    generation.pause()

    generation.is_released = True
    generation.interrupt()

    generation.wait()
    assert not generation.is_over
    assert generation.checkpointed_record() is not None


@pytest.mark.parametrize("is_log_lost", [False, True])
@pytest.mark.parametrize("num_before", [0, 30, len(FIRST), len(FIRST) + 1, len(FIRST) + 25])
def test_a_second_attempt_goes_on_with_what_the_first_was_told(
    log: MemoryLog, num_before: int, is_log_lost: bool
) -> None:
    stored = stored_response(status=ResponseStatus.IN_PROGRESS, attempt=1)
    undisturbed = begin(MemoryLog(), stored, thinking=SEARCHING)
    feed(undisturbed, FIRST)
    add_results(undisturbed)
    finish(undisturbed)
    first = begin(log, stored, thinking=SEARCHING)
    feed(first, FIRST[:num_before])
    if num_before > len(FIRST):
        add_results(first)
        feed(first, SECOND[: num_before - len(FIRST) - 1])
    first.recorder.flush()
    reached = first.checkpointed_record()

    if is_log_lost:
        log.events.clear()
    second, logged = take_over(log, first, thinking=SEARCHING)
    checkpoint = reached.checkpoint if reached else None
    second.resume(logged, checkpoint.beyond(logged) if checkpoint else ())

    found = second.tokens_of(second.choices[0])
    num_found = sum(token_id >= 0 for token_id in found)
    feed(second, FIRST[num_found:])
    if second.waiting:
        add_results(second)
    feed(second, SECOND[max(0, num_found - len(FIRST)) :], FinishReason.STOP)
    assert second.cause.usage == undisturbed.cause.usage
    lines = [
        generation.recorder.finish(generation.cause).events[:-1]
        for generation in (second, undisturbed)
    ]
    assert lines[0] == lines[1]
