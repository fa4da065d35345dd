"""Items written from generated output; a later attempt that repeats output emits no event twice."""

from collections.abc import Callable, Sequence

import pytest

from models.events.resumable_writer import ResumableWriter
from models.events.state_machine import EventMachine
from models.ids import choice_of
from models.responses.record import to_resource
from models.responses.status import ResponseStatus
from models.schemas.event_types import BaseEvent
from models.schemas.item_events import SearchInProgress
from models.schemas.parts import UrlCitation
from tests.factories import stored_response
from tests.unit.models.events.typed_items import call_of, message_of, reasoning_of, search_of

Say = Callable[[ResumableWriter], None]

_STORED = stored_response(status=ResponseStatus.IN_PROGRESS)

SAID: list[tuple[int, Say]] = [
    (1, lambda w: w.add_reasoning("Let")),
    (2, lambda w: w.add_reasoning(" me see.")),
    (3, lambda w: w.close()),
    (4, lambda w: w.add_text("It is ")),
    (5, lambda w: w.add_text("so.")),
    (6, lambda w: w.open_call("function_call", name="f")),
    (7, lambda w: w.add_arguments('{"a"')),
    (8, lambda w: w.add_arguments(":1}")),
    (9, lambda w: w.open_call("function_call", name="f")),
    (10, lambda w: w.add_arguments("{}")),
    (11, lambda w: w.close()),
    (12, lambda w: w.add_text("Bye.")),
]


class Record:
    """Events of one response, and the tokens that each came from."""

    def __init__(self) -> None:
        self.machine = EventMachine()
        self.events: list[tuple[BaseEvent, tuple[int, ...]]] = []
        self.ends: list[int] = []
        """Number of events after each call of `add`, whose events are logged all or none."""
        self.add(self.machine.open_stream(to_resource(_STORED)))
        self.add(self.machine.begin(to_resource(_STORED)))

    def add(self, events: Sequence[BaseEvent], token_ids: Sequence[int] = ()) -> None:
        self.events += [(event, ()) for event in events[:-1]]
        self.events.append((events[-1], tuple(token_ids)))
        self.ends.append(len(self.events))

    def writer(self, choice: int = 0) -> ResumableWriter:
        return ResumableWriter(_STORED.id, self.machine, self.add, choice=choice)

    def tokens(self) -> list[int]:
        return [token for _, token_ids in self.events for token in token_ids]


def say(writer: ResumableWriter, said: Sequence[tuple[int, Say]]) -> None:
    for token, write in said:
        writer.add_tokens([token])
        write(writer)


def take_over(first: Record, num_events: int) -> Record:
    """Return the record of a later attempt after the first `num_events` events reached the log."""
    second = Record()
    for event, token_ids in first.events[3:num_events]:
        second.machine.replay(event)
        second.add([event], token_ids)
    return second


def whole() -> Record:
    record = Record()
    writer = record.writer()
    say(writer, SAID)
    writer.close()
    return record


def test_each_thing_said_is_an_item_with_its_text() -> None:
    output = whole().machine.output

    assert [item.type for item in output] == [
        *("reasoning", "message", "function_call", "function_call", "message")
    ]
    reasoning = reasoning_of(output[0])
    assert reasoning.content is not None
    assert reasoning.content[0].text == "Let me see."
    assert message_of(output[1]).content[0].text == "It is so."
    assert [call_of(item).arguments for item in output[2:4]] == ['{"a":1}', "{}"]
    assert {item.model_dump()["status"] for item in output} == {"completed"}


def test_calls_have_ids_of_their_own() -> None:
    calls = [call_of(item) for item in whole().machine.output[2:4]]

    assert len({call.call_id for call in calls} | {call.id for call in calls}) == 4


def test_every_token_is_accounted_for_once_and_in_order() -> None:
    assert whole().tokens() == [token for token, _ in SAID]


@pytest.mark.parametrize("num_events", whole().ends[1:])
def test_a_later_attempt_makes_the_events_that_are_missing_and_no_other(num_events: int) -> None:
    first = whole()
    second = take_over(first, num_events)
    tokens = second.tokens()

    writer = second.writer()
    writer.rewind()
    for _, write in SAID[: len(tokens)]:
        write(writer)
    say(writer, SAID[len(tokens) :])
    writer.close()

    assert [event for event, _ in second.events] == [event for event, _ in first.events]
    assert second.machine.output == first.machine.output


def test_a_writer_goes_on_where_the_record_ends() -> None:
    record = Record()
    record.writer().add_text("It is ")

    record.writer().add_text("so.")

    assert [item_state.text for item_state in record.machine.item_states] == ["It is so."]


def test_choices_are_written_side_by_side_and_know_their_items_again() -> None:
    record = Record()
    writers = [record.writer(choice) for choice in range(3)]
    for text in ("a", "b"):
        for choice, writer in enumerate(writers):
            writer.add_text(f"{text}{choice}")

    again = record.writer(1)
    again.rewind()
    again.add_text("a1b1c1")

    assert [item_state.text for item_state in record.machine.item_states] == [
        "a0b0",
        "a1b1c1",
        "a2b2",
    ]
    assert [choice_of(item.id) for item in record.machine.output] == [0, 1, 2]


def test_a_search_comes_before_the_text_that_it_is_cited_in() -> None:
    record = Record()
    writer = record.writer()
    citation = UrlCitation(start_index=0, end_index=1, url="u", title="t")

    writer.open_hosted("web_search_call", action={"type": "search", "query": "a"})
    writer.advance(SearchInProgress)
    writer.close()
    writer.add_text("b")
    writer.add_annotation(citation)
    writer.close()

    search, message = record.machine.output
    assert search_of(search).action == {"type": "search", "query": "a"}
    assert message_of(message).content[0].annotations == [citation]
