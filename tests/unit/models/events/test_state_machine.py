"""The event state machine: every order of events, and the result of any sequence of calls (§4)."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.events.item_state import ITEM_TABLES, IllegalEventError, ItemStage, StreamState
from models.events.state_machine import EventMachine
from models.responses.record import to_resource
from models.responses.status import ResponseStatus
from models.schemas.event_types import BaseEvent, ItemEvent
from models.schemas.events import Event
from models.schemas.item_events import (
    ArgumentsDelta,
    ArgumentsDone,
    ContentPartAdded,
    OutputTextDelta,
    OutputTextDone,
    ReasoningDelta,
    SearchCompleted,
    SearchEvent,
    SearchInProgress,
    SearchSearching,
)
from models.schemas.output import OutputMessage, Reasoning
from models.schemas.parts import TokenLogprob, UrlCitation
from models.schemas.response import ResponseResource
from models.schemas.tools.custom import CustomInputDelta
from models.schemas.tools.mcp_items import (
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
)
from tests.factories import stored_response
from tests.unit.models.events.typed_items import (
    call_of,
    item_of,
    message_of,
    search_of,
    text_of,
)

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)

# One letter per event: an order is a word, the specification's order a regular expression.
_LETTERS = {
    "c": "created",
    "q": "queued",
    "i": "in_progress",
    "C": "completed",
    "N": "incomplete",
    "F": "failed",
    "a": "output_item.added",
    "A": "output_item.done",
    "p": "content_part.added",
    "P": "content_part.done",
    "d": "output_text.delta",
    "n": "output_text.annotation.added",
    "t": "output_text.done",
    "r": "reasoning.delta",
    "R": "reasoning.done",
    "m": "reasoning_summary_part.added",
    "s": "reasoning_summary_text.delta",
    "S": "reasoning_summary_text.done",
    "M": "reasoning_summary_part.done",
    "g": "function_call_arguments.delta",
    "G": "function_call_arguments.done",
    "u": "custom_tool_call_input.delta",
    "U": "custom_tool_call_input.done",
    "1": "web_search_call.in_progress",
    "2": "web_search_call.searching",
    "3": "web_search_call.completed",
    "4": "mcp_list_tools.in_progress",
    "5": "mcp_list_tools.completed",
    "6": "mcp_list_tools.failed",
    "7": "mcp_call.in_progress",
    "8": "mcp_call_arguments.delta",
    "9": "mcp_call_arguments.done",
    "k": "mcp_call.completed",
    "K": "mcp_call.failed",
}
_STREAM = re.compile(r"cq?(i(x*[CNF])|[NF])")
_ITEMS = {
    "message": "ap[dn]*tPA",
    "function_call": "ag*GA",
    "custom_tool_call": "au*UA",
    "tool_search_call": "aA",
    "reasoning": "apr*RP(ms*SM)*A",
    "web_search_call": "a1(2(3)?)?A",
    "compaction": "aA",
    "mcp_list_tools": "a4[56]?A",
    "mcp_call": "a78*9[kK]?A",
    "mcp_approval_request": "aA",
}
_CITATION = UrlCitation(start_index=0, end_index=1, url="https://a.example/", title="A")
_LOGPROB = TokenLogprob(token="a", logprob=-1.0, bytes=[97], top_logprobs=[])

Call = Callable[[EventMachine], list[BaseEvent]]


def resource(status: str = "queued", *, background: bool = True) -> ResponseResource:
    stored = stored_response(status=ResponseStatus(status), background=background)
    return to_resource(stored)


def open_item(kind: str) -> Call:
    """Return a call that opens an item of a type at the next output index."""
    return {
        "message": lambda m: m.open_message(f"msg_{len(m.item_states)}"),
        "reasoning": lambda m: m.open_reasoning(f"rs_{len(m.item_states)}"),
        "function_call": lambda m: m.open_call(
            f"fc_{len(m.item_states)}", call_id="call", name="f"
        ),
        "custom_tool_call": lambda m: m.open_call(
            f"ctc_{len(m.item_states)}", call_id="call", kind="custom_tool_call", name="f"
        ),
        "tool_search_call": lambda m: m.open_call(
            f"tsc_{len(m.item_states)}", call_id="call", kind="tool_search_call"
        ),
        "web_search_call": lambda m: m.open_hosted(
            f"ws_{len(m.item_states)}", "web_search_call", action=None
        ),
        "mcp_list_tools": lambda m: m.open_hosted(
            f"mcpl_{len(m.item_states)}", "mcp_list_tools", server_label="s"
        ),
        "mcp_call": lambda m: m.open_hosted(
            f"mcp_{len(m.item_states)}", "mcp_call", server_label="s", name="f"
        ),
        "mcp_approval_request": lambda m: m.open_hosted(
            f"mcpr_{len(m.item_states)}",
            "mcp_approval_request",
            server_label="s",
            name="f",
            arguments="{}",
        ),
        "compaction": lambda m: m.open_compaction(f"cmp_{len(m.item_states)}"),
    }[kind]


def start_machine(*kinds: str) -> EventMachine:
    """Return a started machine with an open item of each kind."""
    machine = EventMachine()
    machine.open_stream(resource())
    machine.begin(resource("in_progress"))
    for kind in kinds:
        open_item(kind)(machine)
    return machine


def word_of(events: Sequence[BaseEvent]) -> str:
    letters = {f"response.{event_type}": letter for letter, event_type in _LETTERS.items()}
    return "".join(letters[event.type] for event in events)


@pytest.mark.parametrize(("background", "types"), [(True, "cq"), (False, "c")])
def test_only_a_background_response_is_announced_as_queued(background: bool, types: str) -> None:
    assert word_of(EventMachine().open_stream(resource(background=background))) == types


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
@pytest.mark.parametrize("is_queued", [True, False])
def test_what_no_worker_has_begun_may_be_cut_off_but_not_complete(
    status: str, is_queued: bool
) -> None:
    machine = EventMachine()
    machine.open_stream(resource(background=is_queued))

    if status == "completed":
        with pytest.raises(IllegalEventError, match="completed cannot come in state"):
            machine.end(resource(status))
    else:
        assert machine.end(resource(status))


@pytest.mark.parametrize(
    ("kind", "write", "opened", "closed"),
    [
        ("message", lambda m: m.add_text(0, "a"), "ap", "tPA"),
        ("reasoning", lambda m: m.add_reasoning(0, "a"), "ap", "RPA"),
        ("function_call", lambda m: m.add_arguments(0, "{}"), "a", "GA"),
        ("custom_tool_call", lambda m: m.add_arguments(0, "a"), "a", "UA"),
        ("tool_search_call", lambda _: [], "a", "A"),
        ("web_search_call", lambda m: m.advance(0, SearchInProgress), "a", "A"),
        ("mcp_list_tools", lambda m: m.advance(0, McpListToolsInProgress), "a", "A"),
        ("mcp_call", lambda m: m.advance(0, McpCallInProgress), "a", "9A"),
        ("mcp_approval_request", lambda _: [], "a", "A"),
    ],
)
def test_an_item_is_opened_and_closed_with_all_that_is_in_it(
    kind: str, write: Call, opened: str, closed: str
) -> None:
    machine = start_machine()

    first = open_item(kind)(machine)
    write(machine)
    last = machine.close(0, "completed")

    assert (word_of(first), word_of(last)) == (opened, closed)
    assert item_of(last[-1]) == machine.output[0]
    assert machine.output[0].model_dump().get("status", "completed") == "completed"


def test_a_message_begins_empty_and_ends_with_its_text_and_what_belongs_to_it() -> None:
    added, part_added = (machine := start_machine()).open_message("msg_0")
    machine.add_text(0, "ab", [_LOGPROB])
    machine.add_annotation(0, _CITATION)
    text_done, part_done, done = machine.close(0, "completed")

    part = {"type": "output_text", "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_0", "role": "assistant"}
    assert item_of(added).model_dump() == message | {"status": "in_progress", "content": []}
    assert isinstance(part_added, ContentPartAdded)
    assert part_added.part.model_dump() == part | {"text": ""}
    assert isinstance(text_done, OutputTextDone)
    assert (text_done.text, text_done.logprobs) == ("ab", [_LOGPROB])
    text = text_of(part_done)
    assert text.annotations == [_CITATION]
    assert message_of(item_of(done)).content == [text]


def test_a_message_has_a_phase_only_if_one_was_given() -> None:
    machine = start_machine()

    plain, phased = (machine.open_message("m", phase=phase)[0] for phase in (None, "commentary"))

    assert "phase" not in item_of(plain).model_dump()
    assert item_of(phased).model_dump()["phase"] == "commentary"


def test_a_call_has_its_name_from_the_beginning_and_its_arguments_at_the_end() -> None:
    [added] = (machine := start_machine()).open_call("fc_0", call_id="call_0", name="f")
    machine.add_arguments(0, '{"a"')
    machine.add_arguments(0, ":1}")
    arguments_done, done = machine.close(0, "completed")

    opened, closed = call_of(item_of(added)), call_of(item_of(done))
    assert (opened.name, opened.call_id, opened.arguments) == ("f", "call_0", "")
    assert isinstance(arguments_done, ArgumentsDone)
    assert arguments_done.arguments == closed.arguments == '{"a":1}'


def test_reasoning_has_its_text_its_summary_and_its_encrypted_content() -> None:
    machine = start_machine("reasoning")
    machine.add_reasoning(0, "ab")
    summary = machine.summarise(0, "a")
    *_, done = machine.close(0, "completed", encrypted_content="sealed")

    assert word_of(summary) == "RPmsSM"
    assert item_of(done).model_dump() == {
        "type": "reasoning",
        "id": "rs_0",
        "summary": [{"type": "summary_text", "text": "a"}],
        "content": [{"type": "reasoning_text", "text": "ab"}],
        "encrypted_content": "sealed",
        "status": "completed",
    }


def test_only_reasoning_is_summarised() -> None:
    machine = start_machine("message")

    with pytest.raises(IllegalEventError, match="item 0 is not reasoning"):
        machine.summarise(0, "a")

    assert word_of(machine.close(0, "completed")) == "tPA"


def test_a_search_takes_its_steps_in_order() -> None:
    machine = start_machine("web_search_call")
    with pytest.raises(IllegalEventError):
        machine.advance(0, SearchSearching)

    steps: list[type[SearchEvent]] = [SearchInProgress, SearchSearching, SearchCompleted]
    written = [event for step in steps for event in machine.advance(0, step)]
    written += machine.close(0, "completed", action={"type": "search", "query": "a"})

    assert word_of(written) == "123A"
    assert search_of(machine.output[0]).action == {"type": "search", "query": "a"}


def test_items_that_are_open_at_the_same_time_keep_apart() -> None:
    machine = start_machine("message", "message")

    for delta, index in (("a", 0), ("x", 1), ("b", 0), ("y", 1)):
        [event] = machine.add_text(index, delta)
        assert isinstance(event, OutputTextDelta)
        assert (event.item_id, event.output_index, event.content_index) == (
            f"msg_{index}",
            index,
            0,
        )
    machine.close(1, "completed")
    machine.add_text(0, "c")
    machine.close(0, "completed")

    assert [message_of(item).content[0].text for item in machine.output] == ["abc", "xy"]


@pytest.mark.parametrize("status", ["completed", "incomplete", "cancelled"])
def test_a_response_ends_with_an_open_item_only_if_it_failed(status: str) -> None:
    machine = start_machine("message")

    with pytest.raises(IllegalEventError, match="cannot come in state 'part_open' of item 0"):
        machine.end(resource(status))

    assert word_of(machine.end(resource("failed"))) == "F"


def test_after_an_incomplete_item_none_begins_and_the_response_cannot_complete() -> None:
    machine = start_machine("message", "message")
    machine.close(0, "incomplete")

    with pytest.raises(IllegalEventError, match="after an incomplete item"):
        machine.open_message("msg_2")
    machine.close(1, "completed")
    with pytest.raises(IllegalEventError, match="after an incomplete item"):
        machine.end(resource("completed"))

    assert word_of(machine.end(resource("incomplete"))) == "N"


@pytest.mark.parametrize(
    ("status", "event_type"),
    [
        ("completed", "response.completed"),
        ("incomplete", "response.incomplete"),
        ("failed", "response.failed"),
        ("cancelled", "response.incomplete"),
    ],
)
def test_the_status_decides_which_event_is_the_last(status: str, event_type: str) -> None:
    machine = start_machine()

    [event] = machine.end(resource(status))

    assert event.type == event_type
    assert machine.state is StreamState.ENDED


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_event_that_is_not_the_next_is_not_taken_over(number: int) -> None:
    machine = EventMachine()
    machine.open_stream(resource())

    with pytest.raises(IllegalEventError, match=f"event {number} follows event 1"):
        machine.replay(BaseEvent(type="response.in_progress", sequence_number=number))

    assert machine.next_sequence_number == 2


def test_an_item_that_is_not_the_next_is_not_taken_over() -> None:
    [added, _] = start_machine().open_message("msg_0")
    machine = start_machine()

    with pytest.raises(IllegalEventError, match="item 1 follows item -1"):
        machine.replay(added.model_copy(update={"output_index": 1}))


def test_there_is_an_order_for_each_kind_of_item() -> None:
    assert ITEM_TABLES.keys() == _ITEMS.keys()


_INDEX = st.integers(0, 3)
_STEPS = [
    *(SearchInProgress, SearchSearching, SearchCompleted),
    *(McpListToolsInProgress, McpListToolsCompleted, McpListToolsFailed),
    *(McpCallInProgress, McpCallCompleted, McpCallFailed),
]
_DELTA = st.text(max_size=4)
_CALLS: st.SearchStrategy[Call] = st.one_of(
    st.booleans().map(lambda b: lambda m: m.open_stream(resource(background=b))),
    st.just(lambda m: m.begin(resource("in_progress"))),
    st.sampled_from(sorted(_ITEMS)).map(open_item),
    st.tuples(_INDEX, _DELTA).map(lambda at: lambda m: m.add_text(*at)),
    st.tuples(_INDEX, _DELTA).map(lambda at: lambda m: m.add_reasoning(*at)),
    st.tuples(_INDEX, _DELTA).map(lambda at: lambda m: m.add_arguments(*at)),
    st.tuples(_INDEX, _DELTA).map(lambda at: lambda m: m.summarise(*at)),
    _INDEX.map(lambda index: lambda m: m.add_annotation(index, _CITATION)),
    st.tuples(_INDEX, st.sampled_from(_STEPS)).map(lambda at: lambda m: m.advance(*at)),
    _INDEX.map(lambda index: lambda m: m.end_arguments(index)),
    st.tuples(_INDEX, st.sampled_from(["completed", "incomplete"])).map(
        lambda at: lambda m: m.close(*at)
    ),
    st.sampled_from(["completed", "incomplete", "failed", "cancelled"]).map(
        lambda status: lambda m: m.end(resource(status))
    ),
)
# Most sequences begin as streams do, so that most of their calls are legal.
_BEGINNING: list[Call] = [
    lambda m: m.open_stream(resource()),
    lambda m: m.begin(resource("in_progress")),
]
_SEQUENCES = st.tuples(
    st.sampled_from([[], _BEGINNING, [*_BEGINNING, *map(open_item, _ITEMS)]]),
    st.lists(_CALLS, max_size=30),
).map(lambda halves: [*halves[0], *halves[1]])


def snapshot(machine: EventMachine) -> tuple[Any, ...]:
    item_states = [
        (state.item, state.stage, state.text, state.num_chars) for state in machine.item_states
    ]
    return machine.state, machine.next_sequence_number, item_states


def perform(calls: Sequence[Call]) -> tuple[EventMachine, list[BaseEvent]]:
    """Make calls, skipping those that are refused; return the machine and the events it wrote."""
    machine, written = EventMachine(), []
    for call in calls:
        before = snapshot(machine)
        try:
            written += call(machine)
        except IllegalEventError:
            assert snapshot(machine) == before
    return machine, written


@given(_SEQUENCES)
def test_numbers_begin_at_0_and_have_no_gap_whatever_is_refused(calls: list[Call]) -> None:
    machine, written = perform(calls)

    assert [event.sequence_number for event in written] == list(range(len(written)))
    assert machine.next_sequence_number == len(written)


@given(_SEQUENCES)
def test_the_order_is_the_specifications(calls: list[Call]) -> None:
    machine, written = perform(calls)
    if machine.state is StreamState.NEW:
        written += machine.open_stream(resource())
    if machine.state is not StreamState.ENDED:
        written += machine.end(resource("failed"))

    of_items = [event for event in written if isinstance(event, ItemEvent)]
    word = "".join("x" if isinstance(e, ItemEvent) else word_of([e]) for e in written)
    assert _STREAM.fullmatch(word)
    for index, item_state in enumerate(machine.item_states):
        item_word = word_of([event for event in of_items if event.output_index == index])
        if item_state.stage is ItemStage.CLOSED:
            assert re.fullmatch(_ITEMS[item_state.item.type], item_word)
        else:
            assert "A" not in item_word
            assert word[-1] == "F"


@given(_SEQUENCES)
def test_the_deltas_of_an_item_add_up_to_its_text(calls: list[Call]) -> None:
    machine, written = perform(calls)
    deltas = dict.fromkeys(range(len(machine.item_states)), "")

    for event in written:
        if isinstance(event, OutputTextDelta | ReasoningDelta | ArgumentsDelta | CustomInputDelta):
            deltas[event.output_index] += event.delta

    for index, item_state in enumerate(machine.item_states):
        assert item_state.num_chars == len(deltas[index])
        item = item_state.item
        if item_state.is_closed and item.type == "function_call":
            assert item.arguments == deltas[index]
        elif item_state.is_closed and item.type == "custom_tool_call":
            assert item.input == deltas[index]
        elif item_state.is_closed and item.type in ("message", "reasoning"):
            assert isinstance(item, OutputMessage | Reasoning)
            assert "".join(part.text for part in item.content) == deltas[index]


@given(_SEQUENCES)
def test_what_was_written_leads_a_fresh_machine_to_the_same_state(calls: list[Call]) -> None:
    machine, written = perform(calls)
    second = EventMachine()

    for event in written:
        second.replay(_EVENT.validate_json(event.model_dump_json()))

    assert snapshot(second) == snapshot(machine)


@given(_SEQUENCES, _CALLS)
def test_a_machine_that_took_over_goes_on_as_the_first_would(calls: list[Call], call: Call) -> None:
    machine, written = perform(calls)
    second = EventMachine()
    for event in written:
        second.replay(event)

    ends = []
    for target in (machine, second):
        try:
            ends.append(word_of(call(target)))
        except IllegalEventError as error:
            ends.append(str(error))

    assert ends[0] == ends[1]
    assert snapshot(machine) == snapshot(second)
