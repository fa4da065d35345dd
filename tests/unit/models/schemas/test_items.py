"""Input items: every type with its limits; output items are valid as input."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.schemas.items import InputItem
from models.schemas.output import FunctionCall, OutputMessage, Reasoning, WebSearchCall
from models.schemas.parts import OutputText, ReasoningText, SummaryText, TokenLogprob, UrlCitation

_ITEM: TypeAdapter[Any] = TypeAdapter(InputItem)
_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "c"}
_IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}
_BREAKPOINT = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
_LOGPROB = TokenLogprob(token="a", logprob=-1.0, bytes=[97], top_logprobs=[])


def parse(item: dict[str, Any]) -> Any:
    return _ITEM.validate_python(item).model_dump(exclude_none=True)


def fault_of(item: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        parse(item)
    return str(raised.value.errors()[0]["type"])


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "developer", "content": "a"},
        {"type": "message", "role": "user", "content": [{"type": "text", "text": "a"}]},
        {"type": "message", "role": "user", "content": [_IMAGE]},
        {"type": "message", "role": "user", "content": [_IMAGE | {"detail": "original"}]},
        {"type": "message", "role": "user", "name": "ann", "content": "a"},
        {"type": "message", "role": "user", "content": [_IMAGE | _BREAKPOINT]},
        {"type": "message", "role": "assistant", "content": "a", "phase": "final_answer"},
        _CALL,
        _CALL | {"id": "fc_1", "status": "completed"},
        _OUTPUT | {"output": "a"},
        _OUTPUT | {"output": [{"type": "input_text", "text": "a"}, _IMAGE]},
        {"type": "reasoning", "summary": []},
        {"type": "reasoning", "summary": [], "encrypted_content": "sealed"},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}],
            "content": [{"type": "reasoning_text", "text": "b"}],
        },
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"type": "compaction", "encrypted_content": "sealed"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
        {"type": "web_search_call", "action": {"type": "open_page", "url": "https://a.example"}},
    ],
)
def test_an_item_is_kept_as_it_was_given(item: dict[str, Any]) -> None:
    assert parse(item) == item


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"role": "user", "content": "a"}, "message"),
        ({"role": "user", "content": "a", "type": None}, "message"),
        ({"id": "m", "role": "user", "content": "a"}, "message"),
        ({"id": "msg_1", "type": None}, "item_reference"),
    ],
)
def test_an_item_without_a_type_is_what_its_fields_make_it(item: dict[str, Any], kind: str) -> None:
    given = {key: value for key, value in item.items() if key != "type"}

    if kind == "message":
        assert parse(given)["type"] == kind
    assert type(_ITEM.validate_python(given)) is type(_ITEM.validate_python(given | {"type": kind}))


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ({"type": "computer_call"}, "union_tag_invalid"),
        ({"type": 1}, "union_tag_invalid"),
        ({}, "missing"),
        (_CALL | {"call_id": ""}, "string_too_short"),
        (_CALL | {"call_id": "c" * 65}, "string_too_long"),
        (_CALL | {"name": "a b"}, "string_pattern_mismatch"),
        (_CALL | {"name": "a" * 65}, "string_pattern_mismatch"),
        (_CALL | {"arguments": {}}, "string_type"),
        (_CALL | {"colour": 1}, "extra_forbidden"),
        (_OUTPUT, "missing"),
        (_OUTPUT | {"output": None}, "string_type"),
        (_OUTPUT | {"output": [{"type": "refusal", "refusal": "a"}]}, "union_tag_invalid"),
        ({"type": "reasoning", "content": "a"}, "list_type"),
        ({"type": "item_reference"}, "missing"),
        ({"type": "compaction"}, "missing"),
        ({"type": "message", "role": "tool", "content": "a"}, "missing"),
        ({"role": "function", "name": "f", "content": "a"}, "literal_error"),
        ({"role": "user", "content": "a", "tool_calls": [{"id": "c"}]}, "literal_error"),
        ({"type": "message", "role": "user", "content": [{"type": "x"}]}, "union_tag_invalid"),
        ({"type": "message", "role": "user", "content": "a", "status": "done"}, "literal_error"),
    ],
)
def test_an_item_that_is_not_as_specified_is_refused(item: dict[str, Any], fault: str) -> None:
    assert fault_of(item) == fault


@pytest.mark.parametrize(
    "item",
    [
        OutputMessage(
            id="msg_0",
            status="completed",
            content=[
                OutputText(
                    text="a",
                    annotations=[UrlCitation(start_index=0, end_index=1, url="u", title="t")],
                    logprobs=[_LOGPROB],
                )
            ],
        ),
        FunctionCall(id="fc_0", call_id="c", name="f", arguments="{}", status="completed"),
        Reasoning(
            id="rs_0",
            summary=[SummaryText(text="a")],
            content=[ReasoningText(text="b")],
            encrypted_content="sealed",
            status="completed",
        ),
        WebSearchCall(id="ws_0", status="completed", action={"type": "search"}),
    ],
)
def test_what_the_model_made_can_be_given_back(item: Any) -> None:
    made = item.model_dump(mode="json")

    assert parse(made) == made


@pytest.mark.parametrize("item", [OutputMessage, Reasoning, WebSearchCall])
def test_a_field_that_may_be_absent_is_never_null(item: Any) -> None:
    fields: dict[str, Any] = {"content": []} if item is not WebSearchCall else {}

    assert None not in item(id="i", status="completed", **fields).model_dump().values()
