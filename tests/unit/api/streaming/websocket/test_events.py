"""Events of clients and of the server on a WebSocket."""

import orjson
import pytest

from api.streaming.websocket.client_events import (
    CancelResponse,
    Envelope,
    ResumeResponse,
    parse_create,
    parse_event,
    read_envelope,
)
from api.streaming.websocket.errors import InvalidStreamIdError
from api.streaming.websocket.server_events import format_error, format_event, refuse_steering
from models.errors import AppError, InvalidRequestError


@pytest.mark.parametrize("stream_id", [None, "a", "Agent_1.b-c", "x" * 256])
def test_an_envelope_has_the_stream(stream_id: str | None) -> None:
    data = orjson.dumps({"type": "response.create", "stream_id": stream_id, "input": 3})

    assert read_envelope(data) == Envelope("response.create", stream_id)


def test_the_last_of_two_names_counts_everywhere() -> None:
    data = b'{"type": "response.create", "stream_id": "a", "stream\\u005fid": "b", "input": "x"}'

    assert read_envelope(data).stream_id == "b"
    assert parse_create(orjson.loads(data)).input == "x"


@pytest.mark.parametrize("stream_id", [True, 0, "", "a b", "a\n", "é", "x" * 257])
def test_another_name_is_refused(stream_id: object) -> None:
    with pytest.raises(InvalidStreamIdError):
        read_envelope(orjson.dumps({"type": "response.create", "stream_id": stream_id}))


@pytest.mark.parametrize("kind", [None, 3, ["response.create"], "response.inject"])
def test_an_event_that_nobody_knows_is_refused(kind: object) -> None:
    envelope = read_envelope(orjson.dumps({"type": kind, "stream_id": "main"}))

    assert envelope.stream_id == "main"
    with pytest.raises(InvalidRequestError, match="type"):
        envelope.check_type()


def test_events_are_parsed_strictly() -> None:
    data = b'{"type": "response.resume", "response_id": "resp_1", "starting_after": 2}'

    event = parse_event(data, ResumeResponse)

    assert (event.response_id, event.starting_after) == ("resp_1", 2)
    with pytest.raises(InvalidRequestError, match="response_id"):
        parse_event(b'{"type": "response.resume"}', ResumeResponse)
    assert parse_event(b'{"response_id": null}', CancelResponse).response_id is None


def test_an_event_gets_the_name_of_its_stream() -> None:
    event = {"type": "response.created", "sequence_number": 0}
    data = orjson.dumps(event)

    assert format_event(data, None) is data
    assert orjson.loads(format_event(data, "a.b")) == {**event, "stream_id": "a.b"}


def test_an_error_has_a_code() -> None:
    frame = orjson.loads(format_error(AppError("Why."), "main"))

    assert frame["stream_id"] == "main"
    assert frame["error"]["code"] == frame["error"]["type"] == "server_error"
    assert "stream_id" not in orjson.loads(format_error(AppError("Why.")))


def test_steering_is_refused_as_clients_know_it() -> None:
    frame = orjson.loads(refuse_steering(b'{"previous_response_id": "resp_1", "input": [1]}'))

    assert frame["type"] == "response.steer.failed"
    assert frame["steer"] == {"previous_response_id": "resp_1", "input": [1]}
    assert frame["error"]["code"] == "steering_not_supported"
