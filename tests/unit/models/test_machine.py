"""The event machine: every order of events, and what any sequence of calls adds up to (§4)."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.status import ResponseStatus
from models.stored import to_resource
from models.wire.events import BaseEvent, Event, OutputItemAdded
from models.wire.items import OutputMessage
from models.wire.machine import EventMachine, IllegalEventError, StreamState
from models.wire.response import ResponseResource
from tests.factories import stored_response

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)

# One letter an event, so that an order is a word and the specification's order an expression.
_LETTERS = {
    "c": "response.created",
    "q": "response.queued",
    "i": "response.in_progress",
    "a": "response.output_item.added",
    "p": "response.content_part.added",
    "d": "response.output_text.delta",
    "t": "response.output_text.done",
    "P": "response.content_part.done",
    "A": "response.output_item.done",
    "C": "response.completed",
    "N": "response.incomplete",
    "F": "response.failed",
}
_LEGAL = re.compile(r"cq?(i(apd*tPA)*)?[CNF]|cq?i(apd*tPA)*(ap?|apd*t?|apd*tP)F")

Call = Callable[[EventMachine], list[BaseEvent]]


def resource(status: str = "queued", *, background: bool = True) -> ResponseResource:
    stored = stored_response(status=ResponseStatus(status), background=background)
    return to_resource(stored)


def replayed(word: str) -> EventMachine:
    """A machine that has taken over the events of a word."""
    machine = EventMachine()
    for number, letter in enumerate(word):
        replay(machine, letter, number)
    return machine


def replay(machine: EventMachine, letter: str, number: int) -> None:
    if letter == "a":
        item = OutputMessage(id=f"msg_{number}", status="in_progress", content=[])
        machine.replay(OutputItemAdded(sequence_number=number, output_index=0, item=item))
    else:
        machine.replay(BaseEvent(type=_LETTERS[letter], sequence_number=number))


def is_taken(machine: EventMachine, letter: str) -> bool:
    try:
        replay(machine, letter, machine.next_sequence_number)
    except IllegalEventError:
        return False
    return True


def started() -> EventMachine:
    machine = EventMachine()
    machine.open_stream(resource())
    machine.begin(resource("in_progress"))
    return machine


def word_of(events: Sequence[BaseEvent]) -> str:
    letters = {event_type: letter for letter, event_type in _LETTERS.items()}
    return "".join(letters[event.type] for event in events)


@pytest.mark.parametrize(
    ("before", "legal"),
    [
        ("", "c"),
        ("c", "qiCNF"),
        ("cq", "iCNF"),
        ("ci", "aCNF"),
        ("cqi", "aCNF"),
        ("cia", "pF"),
        ("ciap", "dtF"),
        ("ciapdd", "dtF"),
        ("ciapt", "PF"),
        ("ciaptP", "AF"),
        ("ciapdtPA", "aCNF"),
        ("ciapdtPAapdtPA", "aCNF"),
        ("cC", ""),
        ("cqN", ""),
        ("ciapF", ""),
    ],
)
def test_after_each_event_only_what_may_follow_is_taken(before: str, legal: str) -> None:
    taken = [letter for letter in _LETTERS if is_taken(replayed(before), letter)]

    assert sorted(taken) == sorted(legal)


def test_a_refusal_names_the_event_and_the_state() -> None:
    with pytest.raises(IllegalEventError, match=r"response\.completed .* 'part_open'"):
        replay(replayed("ciap"), "C", 4)


@pytest.mark.parametrize(("background", "types"), [(True, "cq"), (False, "c")])
def test_only_a_background_response_is_announced_as_queued(background: bool, types: str) -> None:
    assert word_of(EventMachine().open_stream(resource(background=background))) == types


def test_a_message_is_opened_and_closed_with_its_part() -> None:
    machine = started()

    opened = machine.open_message("msg_0")
    closed = machine.close_message("completed")

    assert (word_of(opened), word_of(closed)) == ("ap", "tPA")


def test_an_item_begins_empty_and_in_progress() -> None:
    added, part_added = started().open_message("msg_0")

    assert added.item.model_dump() == {
        "type": "message",
        "id": "msg_0",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    assert part_added.part.model_dump() == {
        "type": "output_text",
        "text": "",
        "annotations": [],
        "logprobs": [],
    }


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_closed_item_has_the_status_that_it_was_closed_with(status: Any) -> None:
    machine = started()
    machine.open_message("msg_0")

    *_, done = machine.close_message(status)

    assert done.item.status == status
    assert machine.output == [done.item]


def test_events_say_which_item_and_part_they_belong_to() -> None:
    machine = started()
    for name in ("msg_0", "msg_1"):
        machine.open_message(name)
        [delta] = machine.add_text("a")
        machine.close_message("completed")

    assert (delta.item_id, delta.output_index, delta.content_index) == ("msg_1", 1, 0)


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
    machine = started()

    [event] = machine.end(resource(status))

    assert event.type == event_type
    assert machine.state is StreamState.ENDED


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_event_that_is_not_the_next_is_not_taken_over(number: int) -> None:
    machine = replayed("cq")

    with pytest.raises(IllegalEventError, match=f"event {number} follows event 1"):
        replay(machine, "i", number)

    assert machine.next_sequence_number == 2


_CALLS: st.SearchStrategy[Call] = st.one_of(
    st.booleans().map(lambda b: lambda m: m.open_stream(resource(background=b))),
    st.just(lambda m: m.begin(resource("in_progress"))),
    st.just(lambda m: m.open_message(f"msg_{len(m.output)}")),
    st.text(max_size=4).map(lambda delta: lambda m: m.add_text(delta)),
    st.sampled_from(["completed", "incomplete"]).map(lambda s: lambda m: m.close_message(s)),
    st.sampled_from(["completed", "incomplete", "failed", "cancelled"]).map(
        lambda status: lambda m: m.end(resource(status))
    ),
)
# Half of the sequences begin as streams do, so that most calls of a sequence are legal.
_BEGINNING: list[Call] = [
    lambda m: m.open_stream(resource()),
    lambda m: m.begin(resource("in_progress")),
    lambda m: m.open_message("msg_0"),
]
_SEQUENCES = st.tuples(st.sampled_from([[], _BEGINNING]), st.lists(_CALLS, max_size=30)).map(
    lambda halves: [*halves[0], *halves[1]]
)


def snapshot(machine: EventMachine) -> tuple[Any, ...]:
    return machine.state, machine.next_sequence_number, machine.text, list(machine.output)


def perform(calls: Sequence[Call]) -> tuple[EventMachine, list[BaseEvent]]:
    """Make calls, passing over those that are refused; the machine and what it wrote."""
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

    assert _LEGAL.fullmatch(word_of(written))


@given(_SEQUENCES)
def test_the_deltas_of_an_item_add_up_to_its_text(calls: list[Call]) -> None:
    machine, written = perform(calls)
    deltas = dict.fromkeys(range(len(machine.output)), "")

    for event in written:
        match event.type:
            case "response.output_text.delta":
                deltas[event.output_index] += event.delta
            case "response.output_text.done":
                assert event.text == deltas[event.output_index]
            case "response.content_part.done":
                assert event.part.text == deltas[event.output_index]
            case "response.output_item.done":
                assert [part.text for part in event.item.content] == [deltas[event.output_index]]
    for index, item in enumerate(machine.output):
        assert item.status == "in_progress" or item.content[0].text == deltas[index]


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
    for each in (machine, second):
        try:
            ends.append(word_of(call(each)))
        except IllegalEventError as error:
            ends.append(str(error))

    assert ends[0] == ends[1]
    assert snapshot(machine) == snapshot(second)
