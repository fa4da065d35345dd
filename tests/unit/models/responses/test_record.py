"""The object that clients see, made from the record at every point of a response's life."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.ids import new_id
from models.responses.record import ResponseRecord, opening_resource, running_resource, to_resource
from models.responses.status import ResponseStatus
from models.schemas.request.parameters import GenerationParameters
from models.schemas.response import Usage
from tests.factories import output_message, stored_response

_NEVER_NULL = {
    *("id", "object", "created_at", "status", "model", "output", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "store", "background"),
    *("service_tier", "metadata"),
}
_NULLABLE = {
    *("completed_at", "incomplete_details", "previous_response_id", "instructions", "error"),
    *("reasoning", "usage", "max_output_tokens", "max_tool_calls", "safety_identifier"),
    "prompt_cache_key",
}
_CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_USAGE = Usage.of(input_tokens=5, cached_tokens=2, output_tokens=3)
_ENDED: dict[str, dict[str, Any]] = {
    "completed": {},
    "incomplete": {"incomplete_details": {"reason": "max_output_tokens"}},
    "failed": {"error": {"code": "server_error", "message": "It broke."}},
    "cancelled": {},
}


def record_in(status: ResponseStatus, **changes: Any) -> ResponseRecord:
    """Return the record of a response that has got as far as its status says."""
    queued = stored_response(created_at=_CREATED, **changes)
    if status is ResponseStatus.QUEUED:
        return queued
    claimed = replace(queued, status=status, attempt=1, cancel_requested=True)
    if status is ResponseStatus.IN_PROGRESS:
        return claimed
    return replace(
        claimed,
        attempt=3,
        finished_at=_CREATED + timedelta(seconds=7),
        usage=_USAGE.model_dump(),
        output=[output_message(queued.id)],
        **_ENDED[status],
    )


@pytest.mark.parametrize("status", ResponseStatus)
def test_every_field_of_the_specification_is_there_in_every_state(status: ResponseStatus) -> None:
    resource = to_resource(record_in(status, parameters={})).model_dump()

    assert len(_NEVER_NULL | _NULLABLE) == 31
    assert set(resource) == _NEVER_NULL | _NULLABLE
    assert not [name for name in _NEVER_NULL if resource[name] is None]


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("make", [opening_resource, running_resource])
def test_the_first_objects_are_the_same_however_far_the_response_has_come(
    background: bool, make: Any
) -> None:
    response_id = new_id()

    made = {
        make(record_in(status, id=response_id, background=background)).model_dump_json()
        for status in ResponseStatus
    }

    assert len(made) == 1


@pytest.mark.parametrize(("background", "status"), [(True, "queued"), (False, "in_progress")])
def test_a_response_opens_queued_unless_its_client_waits(background: bool, status: str) -> None:
    ended = record_in(ResponseStatus.COMPLETED, background=background)

    opened = opening_resource(ended)

    assert opened.status == status
    assert (opened.output, opened.usage, opened.completed_at) == ([], None, None)


def test_a_response_that_begins_is_in_progress() -> None:
    assert running_resource(record_in(ResponseStatus.FAILED)).status == "in_progress"


@pytest.mark.parametrize("status", ResponseStatus)
def test_only_a_completed_response_has_a_time_of_completion(status: ResponseStatus) -> None:
    is_completed = status is ResponseStatus.COMPLETED

    completed_at = to_resource(record_in(status)).completed_at

    assert completed_at == (int(_CREATED.timestamp()) + 7 if is_completed else None)


@pytest.mark.parametrize("status", _ENDED)
def test_an_end_is_told_with_its_reason_its_output_and_its_usage(status: str) -> None:
    stored = record_in(ResponseStatus(status))

    resource = to_resource(stored)

    expected = {"error": None, "incomplete_details": None} | _ENDED[status]
    assert {name: getattr(resource, name) for name in expected} == expected
    assert resource.output == stored.output
    assert resource.usage == _USAGE


def test_usage_adds_up() -> None:
    assert _USAGE.model_dump() == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }


def test_what_the_client_gave_is_echoed() -> None:
    given = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "safety_identifier": "s",
        "prompt_cache_key": "k",
    }

    resource = to_resource(stored_response(parameters=given, metadata={"a": "b"}))

    assert {name: getattr(resource, name) for name in given} == given
    assert resource.metadata == {"a": "b"}


def test_ids_and_times_have_their_form_on_the_wire() -> None:
    previous_id = new_id()
    stored = stored_response(previous_response_id=previous_id, created_at=_CREATED)

    resource = to_resource(stored)

    assert resource.id == f"resp_{stored.id.hex}"
    assert resource.previous_response_id == f"resp_{previous_id.hex}"
    assert resource.created_at == int(_CREATED.timestamp())


@pytest.mark.parametrize("parameters", [{}, {"text": {}}, {"text": {"format": {"type": "text"}}}])
def test_text_is_echoed_with_its_defaults(parameters: dict[str, Any]) -> None:
    resource = to_resource(stored_response(parameters=parameters))

    assert resource.text == {"format": {"type": "text"}, "verbosity": "medium"}


def test_a_schema_is_echoed_with_all_its_keys() -> None:
    chosen = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}

    text = to_resource(stored_response(parameters={"text": {"format": chosen}})).text

    assert text["format"] == chosen | {"description": None, "strict": False}


def test_any_json_object_is_echoed_as_the_format() -> None:
    stored = stored_response(parameters={"text": {"format": {"type": "json_object"}}})

    assert to_resource(stored).text["format"] == {"type": "json_object"}


def test_stored_parameters_come_back_as_their_type() -> None:
    chosen = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}
    stored = stored_response(parameters={"text": {"format": chosen}, "stop": ["x"], "seed": 7})

    parameters = GenerationParameters.model_validate(stored.parameters)

    assert parameters.model_dump(by_alias=True, exclude_none=True) == stored.parameters
