"""What a chat completion is refused for, or fails with, in the one format of errors."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.streaming.timings import StreamTimings
from tests.integration.api.chat.completions import PATH, USER, chunk_of, post
from tests.integration.api.requests import DONE, error_of, frames, parsed
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S, eventually

_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_ASKED = {"role": "assistant", "content": "a", "tool_calls": [_CALL]}
_OUTPUT = {"role": "tool", "tool_call_id": "c", "content": "7"}
_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "array"}},
}
_CUSTOM = {
    "type": "custom",
    "custom": {
        "name": "p",
        "format": {
            "type": "grammar",
            "grammar": {"syntax": "lark", "definition": "start: <|im_end|>"},
        },
    },
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
_ENDLESS: dict[str, Any] = {"script_interval_ms": 10, "script_tokens": 100_000}
_FAILURE = {"code": "server_error", "message": "It broke."}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": [USER, _ASKED]}, "messages[1].tool_calls[0].id", "missing_tool_output"),
        ({"messages": [USER, _OUTPUT]}, "messages[1].tool_call_id", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, _IMAGE]}]},
            "messages[0].content[1].type",
            "unsupported_parameter",
        ),
        ({"messages": [USER | {"content": "a" * (1 << 20)}]}, "messages", None),
        ({"logit_bias": {"50000": 1}}, "logit_bias.50000", "invalid_value"),
        (
            {"tools": [_TOOL | {"function": {**_TOOL["function"], "strict": True}}]},
            "tools[0].function.parameters",
            "invalid_json_schema",
        ),
        (
            {"response_format": _FORMAT},
            "response_format.json_schema.schema",
            "unsupported_parameter",
        ),
        ({"tools": [_CUSTOM]}, "tools[0].custom.format.grammar.definition", "invalid_grammar"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
    ],
)
def test_a_refusal_names_the_field_of_the_chat(
    http: FlaskClient, body: dict[str, Any], param: str, code: str | None
) -> None:
    answer = http.post(PATH, json={"messages": [USER]} | body)

    assert answer.status_code == 400
    error = error_of(answer)
    assert error["param"] == param
    assert error["code"] == (code or "context_length_exceeded")
    assert "input" not in error["message"].replace("The input is", "")


def test_a_model_that_is_not_served_is_not_found(http: FlaskClient) -> None:
    answer = post(http, model="gpt")

    assert answer.status_code == 404
    assert (error_of(answer)["code"], error_of(answer)["param"]) == ("model_not_found", "model")


def test_a_failure_is_a_server_error(app: OpenAPI, desk: Desk, sql: RunSql) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(post, app.test_client(), store=True)
        eventually(lambda: sql("SELECT 1 FROM responses"))
        desk.fail(desk.claim(), _FAILURE)
        answer = asked.result()

    assert answer.status_code == 500
    assert error_of_body(answer) == _FAILURE["message"]


def error_of_body(answer: Any) -> str:
    message: str = parsed(answer)["error"]["message"]
    return message


@pytest.mark.parametrize("stream_timings", [StreamTimings(keep_alive_s=0.05)])
def test_a_stream_of_a_failed_completion_ends_with_its_error(http: FlaskClient, desk: Desk) -> None:
    answer = post(http, stream=True, store=True)
    desk.fail(desk.claim(), _FAILURE)

    *_, error, done = frames(answer)

    assert chunk_of(error)["error"]["message"] == _FAILURE["message"]
    assert done == DONE


def test_a_client_that_leaves_its_stream_cancels_the_completion(
    http: FlaskClient, make_worker: MakeWorker, sql: RunSql
) -> None:
    make_worker(**_ENDLESS)
    answer = post(http, stream=True)
    next(frame for frame in frames(answer) if b'"content":" answer"' in frame)

    answer.close()

    eventually(lambda: sql("SELECT status FROM responses") == [("cancelled",)])


def test_and_so_does_one_that_does_not_wait(
    app: OpenAPI, make_worker: MakeWorker, sql: RunSql, client: redis.Redis
) -> None:
    make_worker(**_ENDLESS)

    with (
        serving(app) as address,
        contextlib.closing(HTTPConnection(address, timeout=PATIENCE_S)) as connection,
    ):
        body = b'{"messages": [{"role": "user", "content": "Hello."}]}'
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        eventually(lambda: client.keys("antiphon:log:*"))  # it is being generated
        connection.close()
        eventually(lambda: sql("SELECT status FROM responses") == [("cancelled",)])


@pytest.mark.parametrize(
    ("path", "served"),
    [("/v1/embeddings", "embedding model"), ("/v1/completions", "/v1/chat/completions")],
)
def test_routes_that_are_not_served_say_what_is(http: FlaskClient, path: str, served: str) -> None:
    answer = http.post(path, json={"input": "a", "prompt": "a"})

    assert answer.status_code == 404
    assert served in error_of(answer)["message"]


def test_completions_cannot_be_read_again(http: FlaskClient) -> None:
    answer = http.get(f"{PATH}/chatcmpl-0")

    assert answer.status_code == 404
    assert error_of(answer)["code"] == "not_found"
