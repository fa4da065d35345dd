"""Bodies whose parsing costs far more than their size are refused first (finding A8)."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from pydantic import ValidationError

from api.http.json_limits import MAX_DEPTH, MAX_VALUES, check_limits
from api.http.protocol_errors import RequestTooLargeError
from api.http.strict_json import MAX_BODY_BYTES, parse_object
from models.errors import AppError, InvalidRequestError
from models.schemas.request.create_response import CreateResponse
from tests.integration.api.requests import error_of

MANY = MAX_VALUES // 3
PAIRS = {f"k{number}": 1 for number in range(MANY)}


def filled(unit: bytes) -> bytes:
    """Return a body of the largest size, full of one value."""
    num_units = (MAX_BODY_BYTES - 20) // (len(unit) + 1)
    return b'{"input":[' + b",".join([unit] * num_units) + b"]}"


@pytest.mark.parametrize("unit", [b"[]", b"{}", b"0", b'""', b'"[{"', b'"\\\\"', b"[[],[]]"])
def test_more_values_than_the_limit_are_refused_before_they_are_parsed(unit: bytes) -> None:
    data = filled(unit)
    tracemalloc.start()
    try:
        with pytest.raises(RequestTooLargeError, match=str(MAX_VALUES)):
            parse_object(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 * len(data)


def test_keys_count_as_their_values_do() -> None:
    pairs = b",".join(b'"%d":0' % number for number in range(MAX_VALUES + 1))

    with pytest.raises(RequestTooLargeError):
        parse_object(b"{" + pairs + b"}")


@pytest.mark.parametrize(("extra", "is_refused"), [(0, False), (1, True)])
def test_the_limit_of_values_is_exact(extra: int, is_refused: bool) -> None:
    # The object and the list are values themselves.
    data = b'{"input":[' + b",".join([b"0"] * (MAX_VALUES - 2 + extra)) + b"]}"

    if is_refused:
        with pytest.raises(RequestTooLargeError):
            parse_object(data)
    else:
        assert len(parse_object(data)["input"]) == MAX_VALUES - 2


@pytest.mark.parametrize(
    "text",
    ["[{," * MAX_VALUES, '["' * MAX_VALUES, '\\"[' * MAX_VALUES, "\\" * 99 + "[" * MAX_VALUES],
    ids=["structure", "quotes", "escapes", "backslashes"],
)
def test_text_is_not_structure(text: str) -> None:
    body = {"input": text, "deep": [[[text]]], text[:9]: {}}

    assert parse_object(orjson.dumps(body)) == body


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"[]":'], ids=["list", "object", "both"])
def test_nesting_is_refused_at_any_size(opening: bytes) -> None:
    for depth in (MAX_DEPTH + 1, 1_000_000):
        with pytest.raises(InvalidRequestError, match=f"{MAX_DEPTH} levels|{MAX_VALUES} values"):
            check_limits(b'{"input":' + opening * depth)


def errors_of(body: dict[str, Any]) -> int:
    with pytest.raises(ValidationError) as raised:
        CreateResponse.model_validate(body)
    return raised.value.error_count()


def said(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": "a", **fields}


@pytest.mark.parametrize(
    "body",
    [
        {"input": "a", **PAIRS},
        {"input": [said(**PAIRS)]},
        {"input": [said()] * 5000 + [{}] * 5000},
        {"input": [said(content=[{}] * 1000)] * 100},
        {"input": [said(content=[{"type": "output_text", "text": "", "annotations": [1] * MANY}])]},
        {"input": "a", "metadata": PAIRS},
        {"input": "a", "logit_bias": PAIRS},
        {"input": "a", "tools": [{}] * MANY},
        {"input": "a", "stop": [1] * MANY},
        {"input": "a", "text": {"format": {"type": "text", **PAIRS}}},
    ],
    ids=lambda body: ",".join(list(body)[:3]),
)
def test_at_most_some_errors_are_collected(body: dict[str, Any]) -> None:
    assert errors_of(body) <= 128


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a", **PAIRS}, "k0"),
        ({"input": [said(**PAIRS)]}, "input[0].k0"),
        ({"input": [said(), {}, {}]}, "input[1].role"),
        ({"input": "a", "metadata": PAIRS}, "metadata"),
    ],
    ids=["body", "item", "items", "metadata"],
)
def test_the_first_error_is_named(http: FlaskClient, body: dict[str, Any], param: str) -> None:
    answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.parametrize("make", [lambda: b"[],", lambda: b"{}," * 1_000_000], ids=["one", "many"])
def test_what_is_no_json_is_still_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(AppError):
        parse_object(make())
