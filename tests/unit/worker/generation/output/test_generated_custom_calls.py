"""Calls of custom tools, of namespaces and of the tool search in an output."""

from typing import Any

import pytest

from models.profile.formats.table import GENERIC
from models.responses.status import ResponseStatus
from models.schemas.tools.custom import GrammarInput, TextInput
from models.tools.choice import CallRule
from models.tools.model_function import ModelFunction
from tests.unit.worker.generation.memory_log import MemoryLog, Thinking, begin, take_over
from tests.unit.worker.generation.output.test_generated_calls import feed, output_of
from worker.engine.interface import FinishReason
from worker.generation.output.rules import OutputRules

_GRAMMAR = GrammarInput(type="grammar", syntax="regex", definition="(.|\\n)*")
FUNCTIONS = {
    function.name: function
    for function in (
        ModelFunction(
            name="patch", client_name="patch", input_format=_GRAMMAR, call_type="custom_tool_call"
        ),
        ModelFunction(
            name="crm__note",
            client_name="note",
            namespace="crm",
            input_format=TextInput(),
            call_type="custom_tool_call",
        ),
        ModelFunction(name="crm__f", client_name="f", namespace="crm"),
        ModelFunction(name="tool_search", call_type="tool_search_call"),
    )
}
CALLING = Thinking(
    call_format=GENERIC,
    functions=frozenset({"crm__f", "tool_search"}),
    inputs=CallRule(tools=tuple(FUNCTIONS.values())).input_ends,
    rules=OutputRules(functions=FUNCTIONS),
)
PATCH = b'<tool_call>\n{"name": "patch"}\n*** Begin\n</tool_call>\n<tool_call>'
NOTE = b'<tool_call>\n{"name": "crm__note"}\nA <b> note\n</tool_call>'
F = b'<tool_call>\n{"name": "crm__f", "arguments": {"a": 1}}\n</tool_call>'
SEARCH = b'<tool_call>\n{"name": "tool_search", "arguments": {"query": "x"}}\n</tool_call>'


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def items_of(log: MemoryLog, text: bytes, end: FinishReason = FinishReason.STOP) -> Any:
    generation = begin(log, thinking=CALLING)
    assert feed(generation, text, end)
    return output_of(generation)


def without_ids(items: Any) -> list[dict[str, Any]]:
    """Return items without their ids, which differ from response to response."""
    return [
        {key: value for key, value in item.items() if key not in ("id", "call_id")}
        for item in items
    ]


def test_the_input_of_a_grammar_goes_on_to_the_end(log: MemoryLog) -> None:
    [call] = items_of(log, PATCH)

    assert (call["type"], call["name"], call["status"]) == (
        *("custom_tool_call", "patch", "completed"),
    )
    assert call["input"] == "*** Begin\n</tool_call>\n<tool_call>"
    assert "namespace" not in call
    assert call["id"].startswith("ctc_")
    assert call["call_id"].startswith("call_")


def test_a_text_input_ends_at_its_tag_and_calls_may_follow(log: MemoryLog) -> None:
    note, call, patch = items_of(log, NOTE + b"\n" + F + b"\n" + PATCH)

    assert (note["name"], note["namespace"], note["input"]) == ("note", "crm", "A <b> note")
    assert (call["name"], call["namespace"], call["arguments"]) == ("f", "crm", '{"a": 1}')
    assert patch["name"] == "patch"


def test_a_text_input_may_end_without_its_tag(log: MemoryLog) -> None:
    [note] = items_of(log, NOTE.removesuffix(b"l_call>"))

    assert note["input"] == "A <b> note\n</too"
    assert note["status"] == "completed"


def test_a_cut_off_input_is_incomplete(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)
    assert feed(generation, PATCH[:37], FinishReason.LENGTH)

    assert generation.cause.status is ResponseStatus.INCOMPLETE
    [call] = output_of(generation)
    assert (call["input"], call["status"]) == ("*** Beg", "incomplete")


def test_its_events_are_deltas_and_the_whole(log: MemoryLog) -> None:
    generation = begin(log, thinking=CALLING)
    feed(generation, PATCH, FinishReason.STOP)
    output_of(generation)
    generation.recorder.flush()

    types = log.types(generation.record.id)
    types = types[types.index("output_item.added") :]
    num_deltas = types.count("custom_tool_call_input.delta")
    assert num_deltas > 1
    assert types[: num_deltas + 3] == [
        "output_item.added",
        *["custom_tool_call_input.delta"] * num_deltas,
        "custom_tool_call_input.done",
        "output_item.done",
    ]


def test_a_search_for_tools_has_its_arguments_as_an_object(log: MemoryLog) -> None:
    [call] = items_of(log, SEARCH)

    assert call["type"] == "tool_search_call"
    assert (call["execution"], call["arguments"]) == ("client", {"query": "x"})
    assert "name" not in call


def test_a_cut_off_search_has_no_arguments(log: MemoryLog) -> None:
    [call] = items_of(log, SEARCH[:60], FinishReason.LENGTH)

    assert (call["arguments"], call["status"]) == ({}, "incomplete")


@pytest.mark.parametrize("text", [PATCH, NOTE + b"\n" + F, SEARCH], ids=["patch", "note", "search"])
def test_another_attempt_goes_on_anywhere(text: bytes) -> None:
    expected = without_ids(items_of(MemoryLog(), text))
    for cut in range(1, len(text)):
        log = MemoryLog()
        first = begin(log, thinking=CALLING)
        feed(first, text[:cut])
        first.recorder.flush()
        second, tokens = take_over(log, first, thinking=CALLING)
        second.resume(tokens, ())

        assert feed(second, text[len(tokens) :], FinishReason.STOP)
        assert without_ids(output_of(second)) == expected, cut
