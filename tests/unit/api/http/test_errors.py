"""Error responses: one body for all, with the status, the headers and the field it names."""

import logging
from typing import Any

import pytest
import redis
from flask import Flask, Response, request
from flask.testing import FlaskClient
from pydantic import ValidationError
from werkzeug.exceptions import ImATeapot, RequestEntityTooLarge

from api.http.errors import install_error_handlers
from api.http.strict_json import use_orjson
from api.http.validation_errors import refuse
from models.errors import OverloadedError, ResponseNotFoundError, UnavailableError
from models.schemas.request.create_response import CreateResponse

_SCHEMA = {"type": "json_schema", "name": "a", "schema": {}}
_PART = {"type": "input_text", "text": "a"}


def error_of(answer: Any) -> dict[str, Any]:
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = answer.json["error"]
    return error


def client_of(error: Exception | None = None) -> FlaskClient:
    """Return a client of an app whose GET raises and whose POST takes a `CreateResponse`."""
    app = Flask("test")
    use_orjson(app)
    install_error_handlers(app)

    @app.get("/")
    def fail() -> Response:
        assert error is not None
        raise error

    @app.post("/")
    def create() -> Response:
        try:
            CreateResponse.model_validate(request.get_json())
        except ValidationError as invalid:
            refuse(invalid)
        return Response()

    return app.test_client()


@pytest.mark.parametrize("error", [OverloadedError(), UnavailableError(), redis.ConnectionError()])
def test_who_may_try_again_is_told_when(error: Exception) -> None:
    answer = client_of(error).get("/")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert error_of(answer)["type"] == "server_error"


def test_an_error_is_told_as_it_is() -> None:
    answer = client_of(ResponseNotFoundError("resp_x")).get("/")

    assert answer.status_code == 404
    assert error_of(answer) == {
        "message": "Response with id 'resp_x' not found.",
        "type": "not_found",
        "param": "response_id",
        "code": "response_not_found",
    }
    assert "Retry-After" not in answer.headers


def test_a_fault_of_ours_is_logged_and_told_without_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client_of(ValueError("secret")).get("/")

    assert answer.status_code == 500
    assert error_of(answer)["type"] == "server_error"
    assert b"secret" not in answer.data
    assert "secret" in caplog.text


def test_redis_errors_are_told_without_details() -> None:
    answer = client_of(redis.ConnectionError("secret:6379")).get("/")

    assert error_of(answer)["code"] == "service_unavailable"
    assert b"secret" not in answer.data


def test_an_unknown_address_is_named() -> None:
    answer = client_of().get("/v1/unheard-of")

    assert answer.status_code == 404
    assert "/v1/unheard-of" in error_of(answer)["message"]


def test_a_wrong_method_is_answered_with_the_right_ones() -> None:
    answer = client_of().delete("/")

    assert answer.status_code == 405
    assert error_of(answer)["code"] == "method_not_allowed"
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestEntityTooLarge(), 413, "request_too_large"),
        (ImATeapot(), 418, "invalid_value"),
    ],
)
def test_werkzeugs_errors_have_the_same_body(error: Exception, status: int, code: str) -> None:
    answer = client_of(error).get("/")

    assert answer.status_code == status
    assert error_of(answer)["type"] == "invalid_request_error"
    assert error_of(answer)["code"] == code


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"stop": ["a", 1]}, "invalid_type", "stop[1]"),
        ({"stop": ["a"] * 65}, "array_above_max_length", "stop"),
        ({"text": {"colour": 1}}, "unknown_parameter", "text.colour"),
        ({"text": "json"}, "invalid_type", "text"),
        ({"text": {"format": "json"}}, "invalid_type", "text.format"),
        ({"text": {"format": {}}}, "missing_required_parameter", "text.format.type"),
        ({"text": {"format": _SCHEMA | {"name": "a b"}}}, "invalid_value", "text.format.name"),
        ({"text": {"format": _SCHEMA | {"schema": []}}}, "invalid_type", "text.format.schema"),
        ({"text": {"format": _SCHEMA | {"x": 1}}}, "unknown_parameter", "text.format.x"),
        (
            {"input": [{"role": "user", "content": [_PART, {"type": "input_text"}]}]},
            "missing_required_parameter",
            "input[0].content[1].text",
        ),
        (
            {"input": [{"role": "user", "content": "a", "items": 1}]},
            "unknown_parameter",
            "input[0].items",
        ),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
        ({"response_format": _SCHEMA | {"x": 1}}, "unknown_parameter", "response_format.x"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "missing_required_parameter",
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_object"}, "text": {"format": {"type": "text"}}},
            "invalid_value",
            "response_format",
        ),
        (
            {"response_format": _SCHEMA, "grammar": {"type": "regex", "value": "a"}},
            "invalid_value",
            "grammar",
        ),
        ({"grammar": {"type": "regex", "value": 1}}, "invalid_type", "grammar.value"),
        ({"grammar": {"type": "json_schema", "value": []}}, "invalid_type", "grammar.value"),
        ({"grammar": {"type": "gbnf"}}, "invalid_value", "grammar.type"),
        (
            {"grammar": {"type": "llguidance", "value": {"grammars": [{"name": 1}]}}},
            "invalid_type",
            "grammar.value.grammars[0].name",
        ),
        ({"metadata": {"text": None}}, "invalid_type", "metadata.text"),
        ({"logprobs": False, "top_logprobs": 2}, "invalid_value", "logprobs"),
        ({"include": ["a"]}, "invalid_value", "include[0]"),
        ({"n": 17}, "integer_above_max_value", "n"),
        ({"n": 2, "conversation": "conv_1"}, "invalid_value", "n"),
    ],
)
def test_a_refusal_names_the_field_by_its_path_in_the_body(
    fields: dict[str, Any], code: str, param: str
) -> None:
    answer = client_of().post("/", json={"input": "a"} | fields)

    error = error_of(answer)
    assert answer.status_code == 400
    assert (error["code"], error["param"]) == (code, param)
    assert param in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {"text": {"format": {"type": "json_schema", "json_schema": {"name": "a"}}}},
            "text.format.name",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "input_text": "a"}]}]},
            "input[0].content[0].text",
        ),
    ],
)
def test_a_field_called_like_its_type_does_not_confuse_the_path(
    fields: dict[str, Any], param: str
) -> None:
    answer = client_of().post("/", json={"input": "a"} | fields)

    assert error_of(answer)["param"] == param
