"""Requests to the API, and readers of its responses, for the tests of the API."""

from collections.abc import Iterator
from typing import Any

import orjson
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.responses.status import TERMINAL
from tests.polling import eventually

DONE = b"data: [DONE]\n\n"


def create(http: FlaskClient, **body: Any) -> dict[str, Any]:
    """Create a response in the background; return its object."""
    answer = http.post("/v1/responses", json={"input": "Hello.", "background": True} | body)
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def fetch(http: FlaskClient, response_id: str) -> dict[str, Any]:
    """Return the response object as it is now."""
    answer = http.get(f"/v1/responses/{response_id}")
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def wait_for_end(http: FlaskClient, response_id: str) -> dict[str, Any]:
    """Wait until the response has ended; return its object."""
    eventually(lambda: fetch(http, response_id)["status"] in TERMINAL)
    return fetch(http, response_id)


def create_and_wait(http: FlaskClient, **body: Any) -> dict[str, Any]:
    """Create a response in the background, wait until it has ended, and return its object."""
    return wait_for_end(http, create(http, **body)["id"])


def cancel(http: FlaskClient, response_id: str) -> dict[str, Any]:
    """Cancel a response; return its object."""
    answer = http.post(f"/v1/responses/{response_id}/cancel")
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def wait_for_text(http: FlaskClient, response_id: str) -> None:
    """Follow the event stream until the first text arrives."""
    answer = http.get(f"/v1/responses/{response_id}?stream=true")
    for frame in frames(answer):
        if frame.startswith(b"event: response.output_text.delta\n"):
            break
    answer.close()


def parsed(answer: TestResponse) -> dict[str, Any]:
    """Return the JSON object in the body of an HTTP response."""
    value: dict[str, Any] = orjson.loads(answer.data)
    return value


def error_of(answer: TestResponse) -> dict[str, Any]:
    """Return the error of an HTTP response; it must have the four keys and a request id."""
    body = parsed(answer)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    return error


def frames(answer: TestResponse) -> Iterator[bytes]:
    """Yield the frames of a stream as they arrive, each with its closing empty line."""
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "text/event-stream"
    for chunk in answer.iter_encoded():
        for frame in chunk.split(b"\n\n")[:-1]:
            yield frame + b"\n\n"


def events(answer: TestResponse) -> list[dict[str, Any]]:
    """Return the events of a whole stream, which must close with [DONE]."""
    *framed, last = frames(answer)
    answer.close()
    assert last == DONE
    return [event_of(frame) for frame in framed]


def event_of(frame: bytes) -> dict[str, Any]:
    """Return the event in a frame, whose `event` field is its type."""
    head, data = frame.removesuffix(b"\n\n").split(b"\n")
    event: dict[str, Any] = orjson.loads(data.removeprefix(b"data: "))
    assert head == b"event: " + event["type"].encode()
    return event


def stream(http: FlaskClient, response_id: str, *, after: int | None = None) -> TestResponse:
    """Request the event stream of a response: events of the past, then live ones."""
    query = "" if after is None else f"&starting_after={after}"
    return http.get(f"/v1/responses/{response_id}?stream=true{query}")


def text_of(response: dict[str, Any]) -> str:
    """Return the text of a response's output."""
    parts = (part["text"] for item in response["output"] for part in item["content"])
    return "".join(parts)
