"""Requests that cannot be served: refused with a reason, and without side effects."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from models.ids import new_id, response_wire_id
from models.profile.weights import SCRIPTED_MODEL
from models.schemas.request.create_response import MAX_ITEMS
from models.schemas.strict import MAX_TEXT
from tests.integration.api.requests import create, error_of
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from worker.queue import queue_name

_PARTS = {"role": "user", "content": [{"type": "input_text", "text": "a"}]}
_OTHER_PART = {"role": "user", "content": [{"type": "input_smell", "text": "a"}]}

_BODIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown field": ({"colour": 1}, "unknown_parameter", "colour"),
    "prototype": ({"__proto__": {}}, "unknown_parameter", "__proto__"),
    "best_of": ({"best_of": 2}, "unknown_parameter", "best_of"),
    "remote code": ({"trust_remote_code": True}, "unknown_parameter", "trust_remote_code"),
    "too many answers": ({"n": 17}, "integer_above_max_value", "n"),
    "tools": ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].name"),
    "service tier": ({"service_tier": "bad"}, "invalid_value", "service_tier"),
    "model of wrong type": ({"model": 7}, "invalid_type", "model"),
    "no input": ({"input": ...}, "missing_required_parameter", "input"),
    "input null": ({"input": None}, "invalid_type", "input"),
    "input empty": ({"input": ""}, "string_below_min_length", "input"),
    "input without items": ({"input": []}, "array_below_min_length", "input"),
    "input of wrong type": ({"input": {"a": 1}}, "invalid_type", "input"),
    "too many items": ({"input": [_PARTS] * (MAX_ITEMS + 1)}, "array_above_max_length", "input"),
    "too long a text": ({"input": "a" * (MAX_TEXT + 1)}, "string_above_max_length", "input"),
    "role": ({"input": [_PARTS | {"role": "root"}]}, "invalid_value", "input[0].role"),
    "no role": ({"input": [{"content": "a"}]}, "missing_required_parameter", "input[0].role"),
    "content": ({"input": [_PARTS | {"content": 1}]}, "invalid_type", "input[0].content"),
    "part": ({"input": [_PARTS, _OTHER_PART]}, "invalid_value", "input[1].content[0].type"),
    "hot": ({"temperature": 2.1}, "decimal_above_max_value", "temperature"),
    "cold": ({"temperature": -0.1}, "decimal_below_min_value", "temperature"),
    "temperature as text": ({"temperature": "1"}, "invalid_type", "temperature"),
    "temperature as truth": ({"temperature": True}, "invalid_type", "temperature"),
    "top_p 0": ({"top_p": 0.0}, "decimal_below_min_value", "top_p"),
    "top_p above 1": ({"top_p": 1.1}, "decimal_above_max_value", "top_p"),
    "no tokens": ({"max_output_tokens": 0}, "integer_below_min_value", "max_output_tokens"),
    "many tokens": ({"max_output_tokens": 2**31}, "integer_above_max_value", "max_output_tokens"),
    "half a token": ({"max_output_tokens": 1.5}, "invalid_type", "max_output_tokens"),
    "true tokens": ({"max_output_tokens": True}, "invalid_type", "max_output_tokens"),
    "seed": ({"seed": 2**63}, "integer_above_max_value", "seed"),
    "true top_k": ({"top_k": True}, "invalid_type", "top_k"),
    "min_p": ({"min_p": 1.5}, "decimal_above_max_value", "min_p"),
    "frequency": ({"frequency_penalty": -2.5}, "decimal_below_min_value", "frequency_penalty"),
    "presence": ({"presence_penalty": 3}, "integer_above_max_value", "presence_penalty"),
    "repetition": ({"repetition_penalty": 0.0}, "decimal_below_min_value", "repetition_penalty"),
    "breaker": (
        {"dry_sequence_breakers": ["a", ""]},
        "string_below_min_length",
        "dry_sequence_breakers[1]",
    ),
    "bias": ({"logit_bias": {"5": 101.0}}, "decimal_above_max_value", "logit_bias.5"),
    "bias of a word": ({"logit_bias": {"five": 1}}, "invalid_value", "logit_bias.five"),
    "bias of no token": ({"logit_bias": {"50000": 1}}, "invalid_value", "logit_bias.50000"),
    "bias of the token after the last": (
        {"logit_bias": {"275": 1, "276": 1}},
        "invalid_value",
        "logit_bias.276",
    ),
    "limits": ({"max_output_tokens": 1, "max_tokens": 2}, "invalid_value", "max_tokens"),
    "limit by another name": ({"max_tokens": 0}, "integer_below_min_value", "max_tokens"),
    "metadata pairs": (
        {"metadata": {str(n): "" for n in range(17)}},
        "object_above_max_length",
        "metadata",
    ),
    "metadata value": ({"metadata": {"k": "v" * 513}}, "string_above_max_length", "metadata.k"),
    "metadata number": ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
    "user": ({"safety_identifier": "u" * 129}, "string_above_max_length", "safety_identifier"),
    "stream": ({"stream": "yes"}, "invalid_type", "stream"),
    "format": ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
    "schema": (
        {"text": {"format": {"type": "json_schema", "name": "a"}}},
        "missing_required_parameter",
        "text.format.schema",
    ),
    "verbosity": ({"text": {"verbosity": "loud"}}, "invalid_value", "text.verbosity"),
    "queries of a search": (
        {"input": [{"type": "web_search_call", "action": {"queries": [1]}}]},
        "invalid_type",
        "input[0].action.queries[0]",
    ),
    "sources of a search": (
        {"input": [{"type": "web_search_call", "action": {"query": "a", "sources": 1}}]},
        "invalid_type",
        "input[0].action.sources",
    ),
    "NUL": ({"input": "a\0b"}, "invalid_value", "input"),
    "NUL in metadata": ({"metadata": {"k": "\0"}}, "invalid_value", "metadata.k"),
    "stop empty": ({"stop": ""}, "string_below_min_length", "stop[0]"),
    "previous of wrong type": ({"previous_response_id": 1}, "invalid_type", "previous_response_id"),
}

_RAW = {
    "empty": b"",
    "half": b"{",
    "NaN": b'{"input": "a", "temperature": NaN}',
    "not UTF-8": b'{"input": "\xff"}',
    "UTF-16": '{"input": "a"}'.encode("utf-16"),
    "mark": b'\xef\xbb\xbf{"input": "a"}',
    "lone surrogate": b'{"input": "\\ud800"}',
    "too deep": b'{"input":' + b"[" * 100_000,
}


@pytest.fixture
def nothing_queued(sql: RunSql, client: redis.Redis) -> Iterator[None]:
    """Check after the test that there is no row, no wake-up and no content in Redis."""
    yield
    assert sql("SELECT count(*) FROM responses") == [(0,)]
    assert client.llen(queue_name(SCRIPTED_MODEL)) == 0
    names = [str(key) for key in client.scan_iter("antiphon:*")]
    assert not [name for name in names if "{metrics}" not in name]


@pytest.mark.usefixtures("nothing_queued")
@pytest.mark.parametrize(("change", "code", "param"), _BODIES.values(), ids=_BODIES)
def test_a_bad_field_is_refused_by_name(
    http: FlaskClient, change: dict[str, Any], code: str, param: str
) -> None:
    body = {name: value for name, value in ({"input": "a"} | change).items() if value is not ...}

    answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.usefixtures("nothing_queued")
@pytest.mark.parametrize("body", _RAW.values(), ids=_RAW)
def test_what_is_not_json_is_refused(http: FlaskClient, body: bytes) -> None:
    answer = http.post("/v1/responses", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_json"


@pytest.mark.usefixtures("nothing_queued")
@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"7"])
def test_what_is_not_an_object_is_refused(http: FlaskClient, body: bytes) -> None:
    answer = http.post("/v1/responses", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_type"


@pytest.mark.usefixtures("nothing_queued")
def test_an_unknown_model_is_not_found(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "a", "model": "gpt-x"})

    assert answer.status_code == 404
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "gpt-x" in error["message"]


@pytest.mark.usefixtures("nothing_queued")
@pytest.mark.parametrize("wire_id", [response_wire_id(new_id()), "resp_x", "", "x" * 10_000])
def test_an_unknown_previous_response_is_not_found(http: FlaskClient, wire_id: str) -> None:
    answer = http.post("/v1/responses", json={"input": "a", "previous_response_id": wire_id})

    assert answer.status_code == 404
    error = error_of(answer)
    assert error["code"] == "previous_response_not_found"
    assert error["param"] == "previous_response_id"


def test_the_previous_response_of_another_project_is_as_unknown_as_any(
    http: FlaskClient, desk: Desk
) -> None:
    foreign = desk.create(project_id=desk.add_project("other"))
    answers = [
        http.post("/v1/responses", json={"input": "a", "previous_response_id": wire_id})
        for wire_id in (response_wire_id(foreign.id), response_wire_id(new_id()))
    ]

    assert {answer.status_code for answer in answers} == {404}
    errors = [error_of(answer) for answer in answers]
    assert errors[0]["code"] == errors[1]["code"]
    assert len(errors[0]["message"]) == len(errors[1]["message"])


def test_an_unfinished_response_cannot_be_continued(http: FlaskClient, sql: RunSql) -> None:
    queued = create(http)

    answer = http.post("/v1/responses", json={"input": "a", "previous_response_id": queued["id"]})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "previous_response_id"
    assert "queued" in error_of(answer)["message"]
    assert sql("SELECT count(*) FROM responses") == [(1,)]


@pytest.mark.usefixtures("nothing_queued")
def test_a_context_that_is_too_long_is_refused_before_it_is_queued(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "a" * (1 << 20)})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


@pytest.mark.usefixtures("nothing_queued")
def test_an_engine_that_cannot_constrain_its_output_says_so(http: FlaskClient) -> None:
    chosen = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}

    answer = http.post("/v1/responses", json={"input": "a", "text": {"format": chosen}})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("unsupported_parameter", "text.format.schema")


@pytest.mark.usefixtures("nothing_queued")
@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        (
            {"response_format": {"type": "json_object"}, "text": {"format": {"type": "text"}}},
            "invalid_value",
            "response_format",
        ),
        (
            {
                "response_format": {"type": "json_object"},
                "grammar": {"type": "regex", "value": "a"},
            },
            "invalid_value",
            "grammar",
        ),
        (
            {"grammar": {"type": "json_schema", "value": {"type": "thing"}}},
            "invalid_grammar",
            "grammar.value",
        ),
        (
            {"grammar": {"type": "regex", "value": "a"}},
            "unsupported_parameter",
            "grammar.value",
        ),
    ],
)
def test_a_constraint_that_cannot_be_served_is_refused_by_name(
    http: FlaskClient, fields: dict[str, Any], code: str, param: str
) -> None:
    answer = http.post("/v1/responses", json={"input": "a"} | fields)

    assert answer.status_code == 400
    assert (error_of(answer)["code"], error_of(answer)["param"]) == (code, param)
