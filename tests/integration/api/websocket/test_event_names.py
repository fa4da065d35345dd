"""Names of events: each connection has those that its handshake asked for."""

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from simple_websocket import Client

from models.settings import Settings
from tests.integration.api.requests import fetch
from tests.integration.api.websocket.frames import TERMINAL, Connect, receive, send

SCRIPT = "<think>\nIt greets.\n</think>\n\nHello!"
NAMES = {"openai": "response.reasoning_text.", "specification": "response.reasoning."}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"script_text": SCRIPT})


def read_streams(socket: Client, num_ends: int) -> dict[str, list[dict[str, Any]]]:
    """Read the events of several streams to their ends."""
    streams: dict[str, list[dict[str, Any]]] = {}
    while num_ends:
        event = receive(socket)
        streams.setdefault(event.pop("stream_id"), []).append(event)
        num_ends -= event["type"] in TERMINAL
    return streams


def reasoning_types(events: list[dict[str, Any]]) -> set[str]:
    return {event["type"] for event in events if event["type"].startswith("response.reasoning")}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("made", "read"), [("openai", "specification"), ("specification", "openai")]
)
def test_every_stream_of_a_connection_has_its_names(
    connect: Connect, http: FlaskClient, made: str, read: str
) -> None:
    maker, reader = (connect({"Antiphon-Events": name}) for name in (made, read))

    for stream_id in ("one", "two"):
        send(maker, store=True, stream_id=stream_id)
    originals = read_streams(maker, 2)
    for stream_id, events in originals.items():
        frame = {
            "type": "response.resume",
            "response_id": events[0]["response"]["id"],
            "stream_id": stream_id,
        }
        reader.send(orjson.dumps(frame).decode())
    replays = read_streams(reader, 2)

    for stream_id, events in originals.items():
        replay = replays[stream_id]
        assert reasoning_types(events) == {NAMES[made] + end for end in ("delta", "done")}
        assert reasoning_types(replay) == {NAMES[read] + end for end in ("delta", "done")}
        renamed = [
            event | {"type": event["type"].replace(NAMES[read], NAMES[made])} for event in replay
        ]
        assert renamed == events
        assert events[-1]["response"] == fetch(http, events[-1]["response"]["id"])
