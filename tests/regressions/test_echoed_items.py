"""Items and tools handed back as clients dump them are accepted (case echoed_nulls)."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from openai.types import responses as sdk
from pydantic import BaseModel

from models.schemas.request.create_response import CreateResponse
from models.schemas.strict import WireModel, drop_unserved
from tests.integration.api.requests import create_and_wait, error_of, parsed
from tests.regressions.case_files import requests_of

COUNT = "/v1/responses/input_tokens"
TEXT = {"type": "output_text", "text": "x", "annotations": []}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "x"}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
SAID = {"type": "message", "id": "m_1", "role": "assistant", "status": "completed"}
SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
ITEMS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (sdk.ResponseFunctionToolCall, CALL),
    (sdk.ParsedResponseFunctionToolCall, {**CALL, "parsed_arguments": {"a": 1}}),
    (sdk.ResponseFunctionToolCallItem, {**CALL, "id": "fc_1", "status": "completed"}),
    (sdk.ResponseOutputMessage, {**SAID, "content": [TEXT]}),
    (sdk.ParsedResponseOutputMessage, {**SAID, "content": [{**TEXT, "parsed": {"a": 1}}]}),
    (sdk.ResponseOutputMessage, {**SAID, "content": [{"type": "refusal", "refusal": "x"}]}),
    (sdk.ResponseInputMessageItem, {**USER, "id": "m_2"}),
    (sdk.ResponseReasoningItem, {"type": "reasoning", "id": "rs_1", "summary": []}),
    (
        sdk.ResponseFunctionWebSearch,
        {**SEARCHED, "action": {"type": "search", "query": "q"}},
    ),
    (sdk.ResponseFunctionToolCallOutputItem, {**OUTPUT, "id": "o_1", "status": "completed"}),
]
TOOLS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (sdk.FunctionTool, {"type": "function", "name": "f"}),
]


def dumps_of(kind: type[BaseModel], fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an object as clients of Python dump it, under either name of each field."""
    value = kind.model_validate(fields)
    return [value.model_dump(mode="json", by_alias=by_alias) for by_alias in (True, False)]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("request_of_case", requests_of("echoed_nulls"))
def test_the_case(http: FlaskClient, request_of_case: dict[str, Any]) -> None:
    answer = http.post(request_of_case["path"], json=request_of_case["body"])

    assert answer.status_code == 200, answer.text
    items = parsed(http.get(f"/v1/responses/{parsed(answer)['id']}/input_items"))["data"]
    assert items[0]["output"] == [{"type": "input_text", "text": "x"}]
    assert items[1].keys() == {"id", "type", "call_id", "name", "arguments", "status"}


@pytest.mark.parametrize(("kind", "fields"), ITEMS, ids=[kind.__name__ for kind, _ in ITEMS])
def test_items_of_the_official_client_are_taken_as_dumped(
    http: FlaskClient, kind: type[BaseModel], fields: dict[str, Any]
) -> None:
    for dump in dumps_of(kind, fields):
        before = [CALL] if "output" in fields else []
        after = [OUTPUT] if "arguments" in fields else []

        answer = http.post(COUNT, json={"input": [USER, *before, dump, *after]})

        assert answer.status_code == 200, answer.text


def test_tools_of_the_official_client_are_taken_as_dumped(http: FlaskClient) -> None:
    for kind, fields in TOOLS:
        for dump in dumps_of(kind, fields):
            answer = http.post(COUNT, json={"input": "a", "tools": [dump]})

            assert answer.status_code == 200, answer.text


@pytest.mark.usefixtures("worker")
def test_what_is_read_here_can_be_sent_back(http: FlaskClient) -> None:
    said = {"role": "user", "content": [{"type": "input_text", "text": "a"}]}
    first = create_and_wait(http, input=[said, CALL, OUTPUT])
    listed = parsed(http.get(f"/v1/responses/{first['id']}/input_items?order=asc"))["data"]

    second = create_and_wait(http, input=[*listed, *first["output"]])

    assert second["status"] == "completed"


def leaf_models(model: type[WireModel] = WireModel) -> list[type[WireModel]]:
    found = [leaf for child in model.__subclasses__() for leaf in leaf_models(child)]
    return [model, *found] if model is not WireModel else found


@pytest.mark.parametrize("model", leaf_models(), ids=lambda model: model.__name__)
def test_null_stands_for_the_default_of_every_field(model: type[WireModel]) -> None:
    known = {
        field.alias or name: None
        for name, field in model.model_fields.items()
        if not field.is_required()
    }

    fields = {**known, **dict.fromkeys(model.unserved)}

    assert drop_unserved(fields, model.unserved, known) == {}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [USER, {**CALL, "async": True}, OUTPUT]}, "input[1].async"),
        ({"input": [USER, CALL, {**OUTPUT, "caller": {"type": "program"}}]}, "input[2].caller"),
        ({"tools": [{"type": "function", "name": "f", "async": True}]}, "tools[0].async"),
        ({"tools": [{"type": "function", "name": "f", "async": 0}]}, "tools[0].async"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"prompt": {"id": "p"}}, "prompt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_value_that_would_change_the_answer_is_refused_by_name(
    http: FlaskClient, fields: dict[str, Any], param: str
) -> None:
    answer = http.post(COUNT, json={"input": "a", **fields})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("unsupported_parameter", param)


def test_an_unknown_field_is_refused_though_it_is_null(http: FlaskClient) -> None:
    answer = http.post(COUNT, json={"input": [{**USER, "nothing_known": None}]})

    assert error_of(answer)["param"] == "input[0].nothing_known"


def test_null_is_not_a_value_of_a_required_field() -> None:
    with pytest.raises(ValueError, match="type"):
        CreateResponse.model_validate({"input": [{"type": "item_reference", "id": None}]})
