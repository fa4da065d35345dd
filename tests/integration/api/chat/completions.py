"""Chat completion requests, and readers of their answers, for the tests of chats."""

from typing import Any

import orjson
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.integration.api.requests import DONE, frames, parsed

PATH = "/v1/chat/completions"
USER = {"role": "user", "content": "Hello."}
SCRIPT = "This answer is scripted: no model has read the prompt, and nothing in it is meant.\n"


def post(http: FlaskClient, *messages: dict[str, Any], **fields: Any) -> TestResponse:
    """Send a chat completion request; return the answer, whatever its status."""
    return http.post(PATH, json={"messages": list(messages) or [USER]} | fields)


def complete(http: FlaskClient, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Complete a chat; return the completion."""
    answer = post(http, *messages, **fields)
    assert answer.status_code == 200, answer.text
    return parsed(answer)


def stream(http: FlaskClient, *messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """Complete a chat; return all chunks of the stream, which must close with [DONE]."""
    answer = post(http, *messages, stream=True, **fields)
    *framed, last = frames(answer)
    answer.close()
    assert last == DONE
    return [chunk_of(frame) for frame in framed]


def chunk_of(frame: bytes) -> dict[str, Any]:
    """Return the chunk, or the error, in a frame."""
    chunk: dict[str, Any] = orjson.loads(frame.removeprefix(b"data: "))
    return chunk


def message_of(completion: dict[str, Any]) -> dict[str, Any]:
    """Return the message of the only choice."""
    [choice] = completion["choices"]
    message: dict[str, Any] = choice["message"]
    return message


def text_of(chunks: list[dict[str, Any]], field: str = "content") -> str:
    """Return the text of all deltas."""
    deltas = (choice["delta"] for chunk in chunks for choice in chunk["choices"])
    return "".join(delta.get(field) or "" for delta in deltas)
