"""The body of POST /v1/responses: the limits of every field, and no field that is ignored."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.sampling import SamplingFields
from models.schemas.request.unsupported import UNSERVED_FIELDS
from models.schemas.strict import MAX_PARTS, MAX_TEXT

_SPECIFIED = [
    *("model", "instructions", "previous_response_id", "include", "tools", "tool_choice"),
    *("parallel_tool_calls", "max_tool_calls", "max_output_tokens", "temperature", "top_p"),
    *("presence_penalty", "frequency_penalty", "top_logprobs", "text", "reasoning"),
    *("truncation", "stream", "stream_options", "background", "store", "service_tier"),
    *("metadata", "safety_identifier", "prompt_cache_key"),
]
_EXTENSIONS = [*SamplingFields.model_fields, "seed", "stop", "max_tokens", "max_completion_tokens"]
_SCHEMA = {"type": "json_schema", "name": "a", "schema": {}}
_PART = {"type": "input_text", "text": "a"}
_MESSAGE = {"role": "user", "content": "a"}


def parse(**fields: Any) -> CreateResponse:
    return CreateResponse.model_validate({"input": "a"} | fields)


def fault_of(**fields: Any) -> tuple[str, str]:
    """Return the type and the location of the only validation error."""
    with pytest.raises(ValidationError) as raised:
        parse(**fields)
    [error] = raised.value.errors()
    return error["type"], ".".join(map(str, error["loc"]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", "a" * MAX_TEXT),
        ("input", [_MESSAGE | {"content": ""}]),
        ("input", [_MESSAGE | {"id": "i" * 128}]),
        ("input", [_MESSAGE | {"content": [_PART] * MAX_PARTS}]),
        ("instructions", "a" * MAX_TEXT),
        ("max_output_tokens", 1),
        ("max_output_tokens", 2**31 - 1),
        ("temperature", 0),
        ("temperature", 2),
        ("top_p", 5e-324),
        ("top_p", 1),
        ("seed", -(2**63)),
        ("seed", 2**63 - 1),
        ("stop", ["s" * 1024] * 64),
        ("max_tokens", 1),
        ("max_completion_tokens", 2**31 - 1),
        ("top_k", 0),
        ("top_k", 2**63),
        ("min_p", 0),
        ("min_p", 1),
        ("frequency_penalty", -2),
        ("frequency_penalty", 2),
        ("presence_penalty", -2),
        ("presence_penalty", 2),
        ("repetition_penalty", 5e-324),
        ("repetition_penalty", 1e300),
        ("dry_multiplier", 0),
        ("dry_base", 0),
        ("dry_allowed_length", 0),
        ("dry_sequence_breakers", []),
        ("dry_sequence_breakers", ["b" * 256] * 64),
        ("logit_bias", {}),
        ("logit_bias", {"0": -100, "4294967295": 100}),
        ("ignore_eos", False),
        ("metadata", {f"{n:064}": "v" * 512 for n in range(16)}),
        ("safety_identifier", "s" * 128),
        ("prompt_cache_key", "k" * 64),
        ("text", {"format": _SCHEMA | {"name": "aZ09_-" + "a" * 58}}),
        ("text", {"verbosity": "high"}),
    ],
)
def test_a_value_at_its_limit_is_accepted(name: str, value: Any) -> None:
    assert getattr(parse(**{name: value}), name) is not None


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("input", "a" * (MAX_TEXT + 1), "string_too_long"),
        ("input", "", "string_too_short"),
        ("input", [], "too_short"),
        ("input", [_MESSAGE | {"id": ""}], "string_too_short"),
        ("input", [_MESSAGE | {"id": "i" * 129}], "string_too_long"),
        ("input", [_MESSAGE | {"content": [_PART] * (MAX_PARTS + 1)}], "too_long"),
        ("instructions", "a" * (MAX_TEXT + 1), "string_too_long"),
        ("max_output_tokens", 0, "greater_than_equal"),
        ("max_output_tokens", 2**31, "less_than_equal"),
        ("temperature", -1e-9, "greater_than_equal"),
        ("temperature", 2.000001, "less_than_equal"),
        ("top_p", 0, "greater_than"),
        ("top_p", 1.000001, "less_than_equal"),
        ("seed", -(2**63) - 1, "greater_than_equal"),
        ("seed", 2**63, "less_than"),
        ("stop", ["a"] * 65, "too_long"),
        ("max_tokens", 0, "greater_than_equal"),
        ("max_completion_tokens", 2**31, "less_than_equal"),
        ("top_k", -1, "greater_than_equal"),
        ("min_p", -0.001, "greater_than_equal"),
        ("min_p", 1.001, "less_than_equal"),
        ("frequency_penalty", -2.001, "greater_than_equal"),
        ("frequency_penalty", 2.001, "less_than_equal"),
        ("presence_penalty", -2.001, "greater_than_equal"),
        ("presence_penalty", 2.001, "less_than_equal"),
        ("repetition_penalty", 0, "greater_than"),
        ("dry_multiplier", -0.1, "greater_than_equal"),
        ("dry_base", -0.1, "greater_than_equal"),
        ("dry_allowed_length", -1, "greater_than_equal"),
        ("dry_sequence_breakers", [""], "string_too_short"),
        ("dry_sequence_breakers", ["b" * 257], "string_too_long"),
        ("dry_sequence_breakers", ["b"] * 65, "too_long"),
        ("logit_bias", {"1": -100.1}, "greater_than_equal"),
        ("logit_bias", {"1": 100.1}, "less_than_equal"),
        ("logit_bias", {"-1": 0}, "string_pattern_mismatch"),
        ("logit_bias", {"01": 0}, "string_pattern_mismatch"),
        ("logit_bias", {"1.0": 0}, "string_pattern_mismatch"),
        ("logit_bias", {"\u0661": 0}, "string_pattern_mismatch"),
        ("logit_bias", {"": 0}, "string_pattern_mismatch"),
        ("stop", "s" * 1025, "string_too_long"),
        ("stop", ["a", ""], "string_too_short"),
        ("metadata", {str(n): "" for n in range(17)}, "too_long"),
        ("metadata", {"k" * 65: ""}, "string_too_long"),
        ("metadata", {"k": "v" * 513}, "string_too_long"),
        ("safety_identifier", "s" * 129, "string_too_long"),
        ("prompt_cache_key", "k" * 65, "string_too_long"),
        ("text", {"format": _SCHEMA | {"name": ""}}, "string_pattern_mismatch"),
        ("text", {"format": _SCHEMA | {"name": "a" * 65}}, "string_pattern_mismatch"),
        ("text", {"format": _SCHEMA | {"name": "a b"}}, "string_pattern_mismatch"),
        ("text", {"format": _SCHEMA | {"name": "a\n"}}, "string_pattern_mismatch"),
        ("text", {"verbosity": "loud"}, "literal_error"),
    ],
)
def test_a_value_past_its_limit_is_refused(name: str, value: Any, fault: str) -> None:
    kind, place = fault_of(**{name: value})

    assert kind == fault
    assert place.split(".")[0] == name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name",
    [
        *("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty"),
        *("repetition_penalty", "dry_multiplier", "dry_base"),
    ],
)
def test_what_is_no_finite_number_is_refused(name: str, value: float) -> None:
    assert fault_of(**{name: value}) == ("finite_number", name)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("max_output_tokens", True, "int_type"),
        ("seed", False, "int_type"),
        ("temperature", True, "float_type"),
        ("top_p", True, "float_type"),
        ("store", 1, "bool_type"),
        ("background", 0, "bool_type"),
        ("stream", "true", "bool_type"),
        ("max_tokens", True, "int_type"),
        ("top_k", True, "int_type"),
        ("top_k", 1.0, "int_type"),
        ("min_p", False, "float_type"),
        ("frequency_penalty", True, "float_type"),
        ("presence_penalty", "1", "float_type"),
        ("repetition_penalty", True, "float_type"),
        ("dry_multiplier", True, "float_type"),
        ("dry_base", True, "float_type"),
        ("dry_allowed_length", True, "int_type"),
        ("dry_sequence_breakers", "a", "list_type"),
        ("logit_bias", [], "dict_type"),
        ("ignore_eos", 1, "bool_type"),
        ("max_output_tokens", 16.0, "int_type"),
        ("max_output_tokens", "16", "int_type"),
        ("temperature", "0", "float_type"),
        ("model", 1, "string_type"),
        ("instructions", ["a"], "string_type"),
        ("stop", 1, "list_type"),
        ("metadata", [], "dict_type"),
        ("text", "json", "model_type"),
    ],
)
def test_no_type_is_read_as_another(name: str, value: Any, fault: str) -> None:
    assert fault_of(**{name: value}) == (fault, name)


@pytest.mark.parametrize("bias", [True, None, "1", float("nan")])
def test_a_bias_is_a_finite_number(bias: Any) -> None:
    assert fault_of(logit_bias={"7": bias})[1] == "logit_bias.7"


@pytest.mark.parametrize("name", [*_SPECIFIED, *_EXTENSIONS])
def test_every_field_but_the_input_may_be_null(name: str) -> None:
    assert parse(**{name: None}) == parse()


def test_the_input_may_not_be_null() -> None:
    assert fault_of(input=None)[0] == "string_type"


@pytest.mark.parametrize(
    ("name", "default"),
    [("store", True), ("background", False), ("stream", False), ("metadata", {}), ("stop", [])],
)
def test_null_is_the_default_of_a_field_that_always_has_a_value(name: str, default: Any) -> None:
    assert getattr(parse(**{name: None}), name) == default


@pytest.mark.parametrize(
    ("given", "stop"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([], []), (None, [])]
)
def test_stop_is_a_string_or_a_list_of_them(given: Any, stop: list[str]) -> None:
    assert parse(stop=given).stop == stop


@pytest.mark.parametrize(
    "limits",
    [
        {"max_tokens": 7},
        {"max_completion_tokens": 7},
        {"max_output_tokens": 7, "max_tokens": 7, "max_completion_tokens": 7},
        {"max_output_tokens": 7, "max_tokens": None},
    ],
)
def test_the_limit_of_tokens_has_three_names(limits: dict[str, Any]) -> None:
    assert parse(**limits).parameters().max_output_tokens == 7


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"max_output_tokens": 7, "max_tokens": 8}, "max_tokens"),
        ({"max_output_tokens": 7, "max_completion_tokens": 8}, "max_completion_tokens"),
        ({"max_tokens": 7, "max_completion_tokens": 8}, "max_completion_tokens"),
    ],
)
def test_names_of_one_limit_that_disagree_are_refused(limits: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(**limits)

    [error] = raised.value.errors()
    assert (error["type"], error["ctx"]) == ("conflicting_values", {"field": named})


@pytest.mark.parametrize(
    "fields",
    [
        {"colour": 1},
        {"colour": None},
        {"Input": "a"},
        {"text": {"colour": 1}},
        {"text": {"format": {"type": "text", "schema": {}}}},
        {"text": {"format": _SCHEMA | {"colour": 1}}},
        {"input": [_MESSAGE | {"colour": 1}]},
        {"input": [_MESSAGE | {"content": [_PART | {"colour": 1}]}]},
    ],
)
def test_a_field_that_nobody_knows_is_refused(fields: dict[str, Any]) -> None:
    assert fault_of(**fields)[0] == "extra_forbidden"


def test_a_schema_is_known_by_its_name_on_the_wire_only() -> None:
    chosen = {"type": "json_schema", "name": "a", "schema_": {}}

    with pytest.raises(ValidationError):
        parse(text={"format": chosen})


@pytest.mark.parametrize("name", UNSERVED_FIELDS)
def test_an_unserved_field_that_asks_for_something_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(**{name: {"asked": "for"}})

    [error] = raised.value.errors()
    assert (error["type"], error["ctx"]) == ("unsupported_parameter", {"name": name})


@pytest.mark.parametrize("name", UNSERVED_FIELDS)
def test_an_unserved_field_that_asks_for_nothing_changes_nothing(name: str) -> None:
    for neutral in UNSERVED_FIELDS[name] or ():
        assert parse(**{name: neutral}) == parse()


_TOOL = {"type": "function", "name": "f"}


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({"tools": [_TOOL, _TOOL]}, "duplicate_name", "tools[1].name"),
        (
            {"tools": [{"type": "web_search"}, {"type": "function", "name": "web_search"}]},
            "duplicate_name",
            "tools[1].name",
        ),
        ({"tool_choice": "required"}, "unknown_tool", "tool_choice"),
        ({"tools": [_TOOL], "tool_choice": _TOOL | {"name": "g"}}, "unknown_tool", "tool_choice"),
        (
            {
                "tools": [_TOOL],
                "tool_choice": {"type": "allowed_tools", "tools": [_TOOL | {"name": "g"}]},
            },
            "unknown_tool",
            "tool_choice",
        ),
        (
            {
                "tools": [_TOOL],
                "tool_choice": "required",
                "grammar": {"type": "regex", "value": "a"},
            },
            "conflicting_constraints",
            "grammar",
        ),
    ],
)
def test_tools_that_do_not_go_together_are_refused_by_name(
    fields: dict[str, Any], kind: str, field: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(**fields)

    [error] = raised.value.errors()
    assert (error["type"], error["ctx"]) == (kind, {"field": field})


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "ä"])
def test_a_function_has_a_name_as_the_specification_has_it(name: str) -> None:
    assert fault_of(tools=[_TOOL | {"name": name}])[0] == "string_pattern_mismatch"


@pytest.mark.parametrize(
    ("fields", "num_top"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"include": ["reasoning.encrypted_content"]}, None),
        ({"logprobs": True}, 0),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 20}, 20),
        ({"top_logprobs": 3}, 3),
    ],
)
def test_log_probabilities_are_asked_for_in_three_ways(
    fields: dict[str, Any], num_top: int | None
) -> None:
    assert parse(**fields).num_top_logprobs == num_top


@pytest.mark.parametrize(
    "others", [{"top_logprobs": 1}, {"include": ["message.output_text.logprobs"]}]
)
def test_log_probabilities_that_are_asked_for_and_declined_are_refused(
    others: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError) as raised:
        parse(logprobs=False, **others)

    [error] = raised.value.errors()
    assert (error["type"], error["ctx"]) == ("conflicting_values", {"field": "logprobs"})


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("n", 0, "greater_than_equal"),
        ("n", 17, "less_than_equal"),
        ("n", True, "int_type"),
        ("top_logprobs", -1, "greater_than_equal"),
        ("top_logprobs", 21, "less_than_equal"),
        ("logprobs", 1, "bool_type"),
        ("include", ["message.output_text.logprobs", "everything"], "literal_error"),
    ],
)
def test_choices_and_log_probabilities_have_limits(name: str, value: Any, kind: str) -> None:
    assert fault_of(**{name: value})[0] == kind


def test_a_string_is_one_message_of_the_user() -> None:
    assert parse(input="Hello.").input_items() == [
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello."}],
        }
    ]


def test_items_are_kept_as_they_were_given() -> None:
    items = [
        {"type": "message", "id": "i", "role": "user", "content": [_PART]},
        {"type": "message", "role": "assistant", "content": "b", "phase": "commentary"},
    ]

    assert parse(input=items).input_items() == items


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_text", "text": "a"},
        {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ],
)
def test_output_can_be_given_back_as_input(part: dict[str, Any]) -> None:
    item = {"type": "message", "role": "assistant", "content": [part], "status": "completed"}

    assert parse(input=[item]).input_items() == [item]


def test_parameters_are_what_decides_how_text_is_made() -> None:
    body = parse(model="m", stream=True, metadata={"a": "b"}, temperature=0, stop="x")

    parameters = body.parameters()

    assert parameters.model_dump(exclude_none=True) == {"temperature": 0.0, "stop": ["x"]}


def test_parameters_can_be_stored_and_read_again() -> None:
    fields = {"seed": -(2**63), "stop": ["a"], "top_p": 1, "text": {"format": _SCHEMA}}
    fields |= {"logit_bias": {"7": 1, "8": -0.1}, "dry_sequence_breakers": [], "top_k": 0}
    parameters = parse(**fields).parameters()

    stored = orjson.dumps(parameters.model_dump(exclude_none=True, by_alias=True))

    assert GenerationParameters.model_validate(orjson.loads(stored)) == parameters
