"""`tools` and `tool_choice`: every accepted form is normalised to one, stored and echoed."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.schemas.request.parameters import GenerationParameters

_SCHEMA = {"type": "object", "properties": {"a": {"const": None}}}
_FLAT = {"type": "function", "name": "f", "parameters": _SCHEMA, "strict": True}
_NESTED = {
    "type": "function",
    "function": {"name": "f", "parameters": _SCHEMA, "strict": True},
}
_NAMED = {"type": "function", "name": "f"}
_NAMED_NESTED = {"type": "function", "function": {"name": "f"}}


def parse_parameters(**fields: Any) -> Any:
    parameters = GenerationParameters.model_validate(fields)
    return parameters.model_dump(exclude_none=True, by_alias=True)


def fault_of(**fields: Any) -> tuple[str, Any]:
    with pytest.raises(ValidationError) as raised:
        GenerationParameters.model_validate(fields)
    [error] = raised.value.errors()
    return error["type"], error["loc"][-1]


@pytest.mark.parametrize("tool", [_FLAT, _NESTED])
def test_a_function_is_stored_flat_and_its_schema_untouched(tool: dict[str, Any]) -> None:
    assert parse_parameters(tools=[tool])["tools"] == [_FLAT]


@pytest.mark.parametrize("choice", ["none", "auto", "required"])
def test_a_mode_is_stored_as_it_is(choice: str) -> None:
    assert parse_parameters(tool_choice=choice)["tool_choice"] == choice


@pytest.mark.parametrize("choice", [_NAMED, _NAMED_NESTED])
def test_a_named_function_is_stored_flat(choice: dict[str, Any]) -> None:
    assert parse_parameters(tool_choice=choice)["tool_choice"] == _NAMED


@pytest.mark.parametrize("tool", [_NAMED, _NAMED_NESTED])
def test_allowed_tools_are_stored_flat_and_with_their_mode(tool: dict[str, Any]) -> None:
    choice = {"type": "allowed_tools", "tools": [tool]}

    assert parse_parameters(tool_choice=choice)["tool_choice"] == choice | {
        "mode": "auto",
        "tools": [_NAMED],
    }


def test_a_search_may_be_given_with_all_its_options() -> None:
    tool = {
        "type": "web_search_preview",
        "search_context_size": "low",
        "user_location": {"type": "approximate", "country": "DE"},
        "filters": {"allowed_domains": ["a.example"]},
        "search_description": "a",
        "extract_description": "b",
    }

    assert parse_parameters(tools=[tool], tool_choice={"type": "web_search"})["tools"] == [tool]


def test_what_was_stored_can_be_read_again() -> None:
    fields = {"tools": [_NESTED], "tool_choice": _NAMED_NESTED, "include": []}
    parameters = GenerationParameters.model_validate(fields)

    assert GenerationParameters.model_validate(parse_parameters(**fields)) == parameters


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"tools": [_FLAT] * 129}, ("too_long", "tools")),
        ({"tools": [{"type": "hammer"}]}, ("union_tag_invalid", 0)),
        ({"tools": [{"name": "f"}]}, ("union_tag_not_found", 0)),
        ({"tools": [{"type": "function"}]}, ("missing", "name")),
        ({"tools": [_FLAT | {"name": "a b"}]}, ("string_pattern_mismatch", "name")),
        ({"tools": [_FLAT | {"strict": 1}]}, ("bool_type", "strict")),
        ({"tools": [_FLAT | {"colour": 1}]}, ("extra_forbidden", "colour")),
        ({"tools": [{"type": "function", "function": {}}]}, ("missing", "name")),
        ({"tool_choice": "always"}, ("literal_error", "_mode")),
        ({"tool_choice": {"type": "function"}}, ("missing", "name")),
        ({"tool_choice": {"type": "allowed_tools", "tools": []}}, ("too_short", "tools")),
        ({"max_tool_calls": 0}, ("greater_than_equal", "max_tool_calls")),
        ({"include": ["a"]}, ("literal_error", 0)),
        ({"reasoning": {"effort": "much"}}, ("literal_error", "effort")),
        ({"top_logprobs": 21}, ("less_than_equal", "top_logprobs")),
        ({"n": 17}, ("less_than_equal", "n")),
    ],
)
def test_what_is_not_as_specified_is_refused(fields: dict[str, Any], fault: Any) -> None:
    assert fault_of(**fields) == fault
