"""Strict JSON: a request body is an object or an error; nothing is ignored silently."""

from typing import Any

import pytest
from flask import Flask, request
from werkzeug.test import EnvironBuilder

from api.http.json_limits import MAX_DEPTH
from api.http.protocol_errors import (
    InvalidJsonError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from api.http.strict_json import (
    MAX_BODY_BYTES,
    OrjsonProvider,
    StrictRequest,
    use_orjson,
)
from models.errors import AppError, InvalidRequestError


def request_with(
    data: bytes, content_type: str | None = "application/json", **environ: str
) -> StrictRequest:
    builder = EnvironBuilder(method="POST", data=data, content_type=content_type)
    return StrictRequest(builder.get_environ() | environ)


def refusal_of(data: bytes, content_type: str | None = "application/json") -> AppError:
    with pytest.raises(AppError) as raised:
        request_with(data, content_type).get_json()
    return raised.value


def nest(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Return JSON of this depth, the outer object included, with more brackets at its side."""
    inner = depth - 1
    return b'{"a":' + opening * inner + b"0" + closing * inner + b',"b":[{}]}'


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_an_object_is_read(content_type: str) -> None:
    assert request_with('{"a": ["ä", 1.5, null]}'.encode(), content_type).get_json() == {
        "a": ["ä", 1.5, None]
    }


def test_of_equal_keys_the_last_one_counts() -> None:
    assert request_with(b'{"a": 1, "a": 2}').get_json() == {"a": 2}


def test_the_body_is_read_once_and_can_be_had_again() -> None:
    request = request_with(b'{"a": 1}')

    assert request.get_json() is request.get_json()
    assert request.json == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/json",
        "multipart/form-data",
    ],
)
def test_what_does_not_say_that_it_is_json_is_refused(content_type: str | None) -> None:
    error = refusal_of(b"{}", content_type)

    assert isinstance(error, UnsupportedMediaTypeError)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": "\x00"}',
        b'{"a": "\n"}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"/* a */ {}",
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    error = refusal_of(data)

    assert isinstance(error, InvalidJsonError)
    assert error.message.startswith("The body is not valid JSON: ")


@pytest.mark.parametrize("data", [b"[]", b'"{}"', b"null", b"7", b"true"])
def test_what_is_not_an_object_is_refused(data: bytes) -> None:
    error = refusal_of(data)

    assert (error.http_status, error.code) == (400, "invalid_type")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[0,", b"]")])
def test_a_body_may_be_nested_up_to_the_limit(opening: bytes, closing: bytes) -> None:
    assert request_with(nest(MAX_DEPTH, opening, closing)).get_json()

    error = refusal_of(nest(MAX_DEPTH + 1, opening, closing))
    assert isinstance(error, InvalidRequestError)
    assert f"{MAX_DEPTH} levels" in error.message


def test_a_body_may_be_wide() -> None:
    body = {"a": [[{}]] * (10 * MAX_DEPTH), "b": "[" * (10 * MAX_DEPTH)}

    data = OrjsonProvider(Flask("test")).dumps(body).encode()

    assert request_with(data).get_json() == body


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (rb'{"input": "a\u0000"}', "input"),
        (rb'{"a": [{"b": ["", "\u0000"]}]}', "a[0].b[1]"),
        (rb'{"metadata": {"k": "\u0000"}}', "metadata.k"),
        (rb'{"metadata": {"\u0000": "v"}}', "metadata"),
    ],
)
def test_a_nul_is_refused_wherever_it_stands(data: bytes, param: str) -> None:
    error = refusal_of(data)

    assert (error.code, error.param) == ("invalid_value", param)


def test_what_only_looks_like_a_nul_is_read() -> None:
    assert request_with(rb'{"a": "\\u0000"}').get_json() == {"a": r"\u0000"}


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    request = request_with(b"{}", CONTENT_LENGTH=str(MAX_BODY_BYTES + 1))

    with pytest.raises(RequestTooLargeError):
        request.get_json()


def test_no_caller_can_turn_the_checks_off() -> None:
    with pytest.raises(InvalidJsonError):
        request_with(b"{").get_json(silent=True)
    with pytest.raises(UnsupportedMediaTypeError):
        request_with(b"{}", "text/plain").get_json(force=True)


@pytest.fixture
def app() -> Flask:
    app = Flask("test")
    use_orjson(app)

    @app.post("/")
    def echo() -> Any:
        return request.get_json()

    return app


def test_an_app_speaks_json_this_way(app: Flask) -> None:
    answer = app.test_client().post("/", json={"ä": ["\N{SNOWMAN}"]})

    assert answer.data == '{"ä":["\N{SNOWMAN}"]}'.encode()
    assert answer.json == {"ä": ["\N{SNOWMAN}"]}
