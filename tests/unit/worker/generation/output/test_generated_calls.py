"""Function calls in an output: their items and events, their limits, and resuming within them."""

from collections.abc import Sequence
from typing import Any

import pytest

from models.profile.formats.table import GENERIC
from models.responses.status import ResponseStatus
from models.tools.model_function import ModelFunction
from tests.factories import stored_response
from tests.unit.worker.generation.memory_log import (
    MemoryLog,
    Thinking,
    begin,
    claimed_response,
    take_over,
)
from worker.engine.interface import Delta, FinishReason
from worker.generation.generation import Generation
from worker.generation.output.rules import OutputRules

F = frozenset({"f"})
BY_NAME = {"f": ModelFunction(name="f", client_name="f")}
CALLING = Thinking(call_format=GENERIC, functions=F, rules=OutputRules(functions=BY_NAME))
ONCE = Thinking(call_format=GENERIC, functions=F, rules=OutputRules(functions=BY_NAME, max_calls=1))
CALL = b'<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
OTHER_WAY = b'<tool_call>{"arguments": {"a":1}, "name": "f"}</tool_call>'
OUTPUT = b"<think>Hm.</think>I ask.\n" + CALL + b"\n" + CALL


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def feed(generation: Generation, tokens: bytes, end: FinishReason | None = None) -> bool:
    is_over = False
    for position, token in enumerate(tokens, start=1):
        reason = end if position == len(tokens) else None
        [sequence_id] = generation.sequence_ids
        is_over = generation.advance(
            Delta(sequence_id=sequence_id, token_id=token, finish_reason=reason)
        )
    return is_over


def output_of(generation: Generation) -> Sequence[dict[str, Any]]:
    return generation.recorder.finish(generation.cause).output


def test_they_are_items_beside_reasoning_and_answer(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    assert feed(generation, OUTPUT, FinishReason.STOP)

    output = output_of(generation)
    assert [item["type"] for item in output] == [
        *("reasoning", "message", "function_call", "function_call")
    ]
    assert output[1]["content"][0]["text"] == "I ask.\n"
    for call in output[2:]:
        assert (call["name"], call["arguments"]) == ("f", '{"a": 1}')
        assert call["status"] == "completed"
    assert output[2]["call_id"] != output[3]["call_id"]
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_arguments_are_streamed(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, CALL, FinishReason.STOP)
    generation.recorder.flush()

    types = log.types(generation.record.id)[1:]
    assert types[0] == "output_item.added"
    assert types.count("function_call_arguments.delta") == len('{"a": 1}')
    assert types[-2:] == ["function_call_arguments.done", "output_item.done"]
    assert "content_part.added" not in types


def test_one_that_is_written_in_its_own_way_is_a_call_too(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, OTHER_WAY, FinishReason.STOP)

    [call] = output_of(generation)
    assert (call["name"], call["arguments"]) == ("f", '{"a":1}')


def test_a_function_that_may_not_be_called_is_text(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, CALL.replace(b'"f"', b'"g"'), FinishReason.STOP)

    [message] = output_of(generation)
    assert message["type"] == "message"


def test_without_parallel_calls_the_first_ends_the_output(log: MemoryLog) -> None:
    generation = begin(log, thinking=ONCE)

    is_over = feed(generation, CALL)

    assert is_over
    assert generation.pop_unwanted() == generation.sequence_ids
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_a_call_beyond_the_limit_is_not_begun(log: MemoryLog) -> None:
    stored = stored_response(
        status=ResponseStatus.IN_PROGRESS, attempt=1, parameters={"max_tool_calls": 1}
    )
    generation = begin(log, stored, thinking=CALLING)

    assert feed(generation, CALL + b"\n" + CALL)

    assert [item["type"] for item in output_of(generation)] == ["function_call"]
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_the_limit_of_tokens_within_arguments_leaves_the_call_incomplete(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, CALL[:45], FinishReason.LENGTH)

    [call] = output_of(generation)
    assert (call["status"], call["arguments"]) == ("incomplete", '{"a": ')
    assert generation.cause.status is ResponseStatus.INCOMPLETE


@pytest.mark.parametrize("output", [OUTPUT, OTHER_WAY])
def test_an_attempt_that_is_lost_at_any_token_changes_no_event(output: bytes) -> None:
    stored, whole = claimed_response(), MemoryLog()
    expected = begin(whole, stored, thinking=CALLING)
    feed(expected, output, FinishReason.STOP)
    expected.recorder.flush()

    for lost_at in range(1, len(output)):
        log = MemoryLog()
        first = begin(log, stored, thinking=CALLING)
        feed(first, output[:lost_at])
        first.recorder.flush()
        second, tokens = take_over(log, first, thinking=CALLING)
        second.resume_logged(tokens)
        feed(second, output[len(tokens) :], FinishReason.STOP)
        second.recorder.flush()

        assert log.events == whole.events, lost_at
        assert second.usage() == expected.usage()
