"""Every way to request an output format, and combinations that are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.schemas.request.create_response import CreateResponse
from models.schemas.request.grammars import MAX_GRAMMARS
from models.schemas.request.parameters import GenerationParameters
from models.schemas.strict import MAX_GRAMMAR

_SCHEMA = {"type": "object", "properties": {"b": {"const": None}, "a": {}}}
_FLAT = {"type": "json_schema", "name": "a", "schema": _SCHEMA}
_NESTED = {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}}
_OBJECT = {"type": "json_object"}
_TEXT = {"type": "text"}
_LIST = {"grammars": [{"lark_grammar": "start: @b"}, {"name": "b", "json_schema": {}}]}


def parse(**fields: Any) -> CreateResponse:
    return CreateResponse.model_validate({"input": "a"} | fields)


def format_of(**fields: Any) -> Any:
    return parse(**fields).parameters().model_dump(by_alias=True, exclude_none=True)["text"]


def field_at_fault(**fields: Any) -> str:
    """Return the field named by the error of a rule across fields."""
    with pytest.raises(ValidationError) as raised:
        parse(**fields)
    [error] = raised.value.errors()
    field: str = error["ctx"]["field"]
    return field


@pytest.mark.parametrize("chosen", [_TEXT, _OBJECT, _FLAT])
def test_both_spellings_mean_the_same(chosen: dict[str, Any]) -> None:
    assert format_of(response_format=chosen) == format_of(text={"format": chosen})


def test_the_nested_form_is_the_flat_one() -> None:
    assert format_of(response_format=_NESTED) == {"format": _FLAT}


def test_response_format_leaves_the_verbosity_alone() -> None:
    text = format_of(response_format=_OBJECT, text={"verbosity": "low"})

    assert text == {"format": _OBJECT, "verbosity": "low"}


@pytest.mark.parametrize(
    "nested", [_NESTED, _FLAT, _FLAT | {"strict": False}, _FLAT | {"description": None}]
)
def test_both_spellings_may_be_given_if_they_agree(nested: dict[str, Any]) -> None:
    assert format_of(response_format=nested, text={"format": _FLAT}) == {"format": _FLAT}


@pytest.mark.parametrize(
    "other",
    [
        _TEXT,
        _OBJECT,
        _FLAT | {"name": "b"},
        _FLAT | {"strict": True},
        _FLAT | {"schema": {"const": 1}},
    ],
)
def test_spellings_that_disagree_are_refused(other: dict[str, Any]) -> None:
    assert field_at_fault(response_format=other, text={"format": _FLAT}) == "response_format"


def test_one_and_true_are_not_the_same_schema() -> None:
    one, true = (_FLAT | {"schema": {"const": value}} for value in (1, True))

    assert field_at_fault(response_format=one, text={"format": true}) == "response_format"


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": _OBJECT},
        {"response_format": _NESTED},
        {"text": {"format": _OBJECT}},
        {"text": {"format": _FLAT}},
    ],
)
def test_a_grammar_excludes_a_json_format(fields: dict[str, Any]) -> None:
    assert field_at_fault(grammar={"type": "regex", "value": "a"}, **fields) == "grammar"


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "regex", "value": "a" * MAX_GRAMMAR},
        {"type": "lark", "value": 'start: "a"'},
        {"type": "json_schema", "value": _SCHEMA},
        {"type": "json_schema", "value": "{}"},
        {"type": "llguidance", "value": _LIST},
        {"type": "llguidance", "value": _LIST | {"max_tokens": 1}},
    ],
)
def test_every_kind_of_grammar_is_stored_as_it_was_given(grammar: dict[str, Any]) -> None:
    parameters = parse(grammar=grammar, text={"format": _TEXT}).parameters()

    stored = parameters.model_dump(exclude_none=True, by_alias=True)

    assert stored["grammar"] == grammar
    assert GenerationParameters.model_validate(stored) == parameters


@pytest.mark.parametrize(
    ("grammar", "fault"),
    [
        ({}, "union_tag_not_found"),
        ({"type": "gbnf", "value": "a"}, "union_tag_invalid"),
        ({"type": "regex"}, "missing"),
        ({"type": "regex", "value": ""}, "string_too_short"),
        ({"type": "regex", "value": "a" * (MAX_GRAMMAR + 1)}, "string_too_long"),
        ({"type": "lark", "value": {}}, "string_type"),
        ({"type": "json_schema", "value": 7}, "string_type"),
        ({"type": "llguidance", "value": {"grammars": []}}, "too_short"),
        ({"type": "llguidance", "value": {"grammars": [{}] * (MAX_GRAMMARS + 1)}}, "too_long"),
        ({"type": "llguidance", "value": {"grammars": [{"x": 1}]}}, "extra_forbidden"),
        ({"type": "llguidance", "value": _LIST | {"max_tokens": 0}}, "greater_than_equal"),
    ],
)
def test_what_is_no_grammar_is_refused(grammar: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(grammar=grammar)

    [error] = raised.value.errors()
    assert error["type"] == fault
    assert error["loc"][0] == "grammar"


@pytest.mark.parametrize(
    ("own", "other", "limit"),
    [(None, None, None), (3, None, 3), (None, 4, 4), (3, 4, 3), (5, 4, 4)],
)
def test_of_two_limits_on_the_output_the_smaller_counts(
    own: int | None, other: int | None, limit: int | None
) -> None:
    grammar = {"type": "llguidance", "value": _LIST | {"max_tokens": own}}

    assert parse(grammar=grammar, max_output_tokens=other).output_limit == limit


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": {"format": _FLAT}}, "text.format.schema"),
        ({"response_format": _FLAT}, "response_format.schema"),
        ({"response_format": _NESTED}, "response_format.json_schema.schema"),
        ({"grammar": {"type": "regex", "value": "a"}}, "grammar.value"),
    ],
)
def test_the_place_of_a_constraint_is_known(fields: dict[str, Any], param: str) -> None:
    assert parse(**fields).grammar_param == param
