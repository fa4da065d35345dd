"""MCP calls in the middle of an output: made, answered, approved, and resumed at any token."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from models.profile.formats.table import GENERIC
from models.responses.status import ResponseStatus
from models.schemas.tools.call_items import HostedType
from models.tools.mcp.results import McpResult, result_text
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
from worker.hosted.calls import ToolCall

ADD = ModelFunction(name="s__add", client_name="add", namespace="s", call_type="mcp_call")
ASK = ModelFunction(
    name="s__ask", client_name="ask", namespace="s", call_type="mcp_approval_request"
)
LIMITS: Counter[HostedType] = Counter({"mcp_call": 2})
CALLING = Thinking(
    call_format=GENERIC,
    functions=frozenset({"s__add", "s__ask"}),
    rules=OutputRules(functions={"s__add": ADD, "s__ask": ASK}, max_hosted=LIMITS),
)
FIRST = (
    b'<think>Hm.</think>I add. <tool_call>\n{"name": "s__add", "arguments": {"a": 1}}\n</tool_call>'
)
ASKING = b'<tool_call>\n{"name": "s__ask", "arguments": {"a": 1}}\n</tool_call>'
RESULT = f"\n{result_text(McpResult(output='2'))}\n".encode()
SECOND = b"<think>So.</think>It is 2."


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def feed(generation: Generation, tokens: bytes, end: FinishReason | None = None) -> None:
    for position, token in enumerate(tokens, start=1):
        reason = end if position == len(tokens) else None
        [sequence_id] = generation.sequence_ids
        generation.advance(Delta(sequence_id=sequence_id, token_id=token, finish_reason=reason))


def add_result(generation: Generation, result: bytes = RESULT) -> None:
    [choice] = generation.waiting
    generation.add_result(choice, list(result))


def output_of(generation: Generation) -> Sequence[dict[str, Any]]:
    return generation.recorder.finish(generation.cause).output


@pytest.mark.parametrize("end", [None, FinishReason.STOP, FinishReason.GRAMMAR])
def test_it_works(log: MemoryLog, end: FinishReason | None) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, FIRST, end)
    assert [choice.call for choice in generation.waiting] == [ToolCall(ADD, '{"a": 1}')]
    add_result(generation)
    assert not generation.continue_after_calls()
    feed(generation, SECOND, FinishReason.STOP)

    output = output_of(generation)
    kinds = ["reasoning", "message", "mcp_call", "reasoning", "message"]
    assert [item["type"] for item in output] == kinds
    call = output[2]
    assert (call["name"], call["server_label"], call["arguments"]) == ("add", "s", '{"a": 1}')
    assert (call["status"], call["output"], call["error"]) == ("completed", "2", None)
    usage = generation.cause.usage
    assert usage is not None
    assert usage.input_tokens == 7 + len(RESULT)
    assert usage.output_tokens == len(FIRST) + len(SECOND)


def test_a_call_that_ends_with_the_turn_is_made_as_well(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, FIRST.removesuffix(b"\n</tool_call>"), FinishReason.STOP)
    assert [choice.call for choice in generation.waiting] == [ToolCall(ADD, '{"a": 1}')]
    add_result(generation)
    generation.recorder.flush()

    second, logged = take_over(log, generation, thinking=CALLING)
    second.resume(logged, ())
    feed(second, SECOND, FinishReason.STOP)
    assert output_of(second)[2]["output"] == "2"


@pytest.mark.parametrize(
    ("end", "status"),
    [(FinishReason.LENGTH, ResponseStatus.INCOMPLETE), (FinishReason.ABORTED, "cancelled")],
)
def test_a_call_that_is_cut_off_is_not_made(
    log: MemoryLog, end: FinishReason, status: ResponseStatus
) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, FIRST.removesuffix(b"}}\n</tool_call>"), end)

    assert generation.waiting == []
    assert generation.cause.status == status
    call = output_of(generation)[-1]
    assert (call["status"], call["arguments"]) == ("incomplete", '{"a": 1')


def test_its_events_come_as_it_goes(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, FIRST)
    generation.recorder.flush()
    told = log.types(generation.record.id)
    add_result(generation)
    generation.recorder.flush()

    assert [kind for kind in dict.fromkeys(told) if kind.startswith("mcp")] == [
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
    ]
    assert log.types(generation.record.id)[-2:] == ["mcp_call.completed", "output_item.done"]


def test_one_call_too_many_is_not_made_and_ends_the_response(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)
    for _ in range(2):
        feed(generation, FIRST)
        add_result(generation)

    feed(generation, FIRST)

    assert generation.cause.status is ResponseStatus.COMPLETED
    assert [item["type"] for item in output_of(generation)].count("mcp_call") == 2


def test_calls_before_the_first_token_count(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)
    generation.add_notes([], num_calls=2)

    feed(generation, FIRST)

    assert generation.calls.num_hosted["mcp_call"] == 2
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_a_call_that_needs_an_approval_ends_the_response_with_the_request(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)

    feed(generation, ASKING)

    assert generation.waiting == []
    [request] = output_of(generation)
    assert request == {
        "type": "mcp_approval_request",
        "id": request["id"],
        "server_label": "s",
        "name": "ask",
        "arguments": '{"a": 1}',
    }


def test_notes_are_no_tokens_of_a_choice(log: MemoryLog) -> None:
    generation = begin(log, claimed_response(), thinking=CALLING)
    generation.add_notes([-(1 << 26) - 1, -(1 << 26) - 9])

    feed(generation, b"<think>Hm.</think>Yes.", FinishReason.STOP)

    assert generation.tokens_of(generation.choices[0]) == list(b"<think>Hm.</think>Yes.")
    usage = generation.cause.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (7, 22)


@pytest.mark.parametrize("is_log_lost", [False, True])
@pytest.mark.parametrize("num_before", range(0, len(FIRST) + len(SECOND) - 1, 7))
def test_a_second_attempt_makes_the_same_events(
    log: MemoryLog, num_before: int, is_log_lost: bool
) -> None:
    stored = stored_response(status=ResponseStatus.IN_PROGRESS, attempt=1)
    undisturbed = begin(MemoryLog(), stored, thinking=CALLING)
    feed(undisturbed, FIRST)
    add_result(undisturbed)
    feed(undisturbed, SECOND, FinishReason.STOP)
    first = begin(log, stored, thinking=CALLING)
    feed(first, FIRST[:num_before])
    if num_before > len(FIRST):
        add_result(first)
        feed(first, SECOND[: num_before - len(FIRST) - 1])
    first.recorder.flush()
    reached = first.checkpointed_record()
    if is_log_lost:
        log.events.clear()

    second, logged = take_over(log, first, thinking=CALLING)
    checkpoint = reached.checkpoint if reached else None
    second.resume(logged, checkpoint.beyond(logged) if checkpoint else ())

    found = second.tokens_of(second.choices[0])
    num_found = sum(token_id >= 0 for token_id in found)
    feed(second, FIRST[num_found:])
    if second.waiting:
        add_result(second)
    feed(second, SECOND[max(0, num_found - len(FIRST)) :], FinishReason.STOP)
    assert second.cause.usage == undisturbed.cause.usage
    lines = [
        generation.recorder.finish(generation.cause).events[:-1]
        for generation in (second, undisturbed)
    ]
    assert lines[0] == lines[1]
