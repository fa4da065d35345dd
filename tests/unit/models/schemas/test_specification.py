"""Events and objects we send, validated by types that a third party generated from the spec."""

from typing import Any

import pytest
from openresponses_types import types as spec
from pydantic import BaseModel, TypeAdapter

from models.events.state_machine import EventMachine
from models.responses.record import to_resource
from models.responses.status import ResponseStatus
from models.schemas.event_types import BaseEvent
from models.schemas.parts import TokenLogprob, UrlCitation
from tests.factories import stored_response

_CITATION = UrlCitation(start_index=0, end_index=1, url="https://a.example/", title="A")
_LOGPROB = TokenLogprob(token="a", logprob=-1.0, bytes=[97], top_logprobs=[])
_TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
_PARAMETERS: dict[str, Any] = {
    "tools": [_TOOL],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}],
    },
    "reasoning": {"effort": "low"},
    "max_tool_calls": 3,
    "parallel_tool_calls": False,
}


def event_types() -> dict[str, TypeAdapter[Any]]:
    """Return the specification's type of each event, by the event's `type`."""
    found = {}
    for kind in vars(spec).values():
        if isinstance(kind, type) and issubclass(kind, BaseModel) and "Streaming" in kind.__name__:
            annotation: Any = kind.model_fields["type"].annotation
            [name] = annotation
            found[name.value] = TypeAdapter(kind)
    return found


def sample_events() -> list[BaseEvent]:
    """Return events of every type that the specification has and we send."""
    stored = stored_response(parameters=_PARAMETERS)
    machine = EventMachine()
    events = machine.open_stream(to_resource(stored))
    events += machine.begin(to_resource(stored))
    events += machine.open_compaction("cmp_0")
    events += machine.close(0, "completed", encrypted_content="sealed")
    events += machine.open_reasoning("rs_1")
    events += machine.add_reasoning(1, "a")
    events += machine.summarise(1, "a")
    events += machine.close(1, "completed", encrypted_content="sealed")
    events += machine.open_message("msg_2", phase="commentary")
    events += machine.add_text(2, "a", [_LOGPROB])
    events += machine.add_annotation(2, _CITATION)
    events += machine.close(2, "completed")
    events += machine.open_call("fc_3", call_id="call_3", name="f")
    events += machine.add_arguments(3, "{}")
    events += machine.close(3, "incomplete")
    ended = stored_response(
        status=ResponseStatus.INCOMPLETE,
        parameters=_PARAMETERS,
        output=[item.model_dump() for item in machine.output],
    )
    return [*events, *machine.end(to_resource(ended))]


@pytest.mark.parametrize("event", sample_events(), ids=lambda event: event.type)
def test_an_event_is_valid_by_the_specification(event: BaseEvent) -> None:
    event_types()[event.type].validate_json(event.model_dump_json())


def test_the_specification_has_no_event_that_we_never_send() -> None:
    others = {"response.completed", "response.failed", "error"}
    refusals = {"response.refusal.delta", "response.refusal.done"}

    assert event_types().keys() - {event.type for event in sample_events()} == others | refusals


@pytest.mark.parametrize("parameters", [{}, _PARAMETERS, {"tool_choice": "required"}])
def test_a_response_is_valid_by_the_specification(parameters: dict[str, Any]) -> None:
    stored = stored_response(parameters=parameters)

    spec.ResponseResource.model_validate_json(to_resource(stored).model_dump_json())
