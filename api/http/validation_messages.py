"""Reasons of validation errors in the terms of JSON, without the names of Python and pydantic."""

from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

from models.schemas.strict import ALTERNATIVES, is_public_tag

_LIBRARY_TYPES = frozenset(get_args(ErrorType))
"""Types of pydantic's own errors; all others are raised here, with messages for clients."""

_EXPECTED = {
    "string_type": "a string",
    "string_unicode": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
"""JSON types that are expected instead, by pydantic's error type."""

_REASONS = {
    "finite_number": "it must be a finite number",
    "bool_parsing": "it must be true or false",
    "float_parsing": "it must be a number",
    "greater_than": "it must be greater than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "int_parsing": "it must be an integer",
    "int_parsing_size": "it has too many digits",
    "invalid_key": "its keys must be strings",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be at most {le}",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    "string_pattern_mismatch": "it must match the pattern {pattern}",
    "string_too_long": "it must have at most {max_length} characters",
    "string_too_short": "it must have at least {min_length} characters",
    "too_long": "it must have at most {max_length} entries",
    "too_short": "it must have at least {min_length} entries",
}
"""Reasons by pydantic's error type, with the limits from the context of the error."""

_JSON_NAMES = (
    (type(None), "null"),
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def is_of_wrong_type(error: Any) -> bool:
    """Return True if the value of a field has another JSON type than those that are accepted."""
    match error["type"]:
        case "union_tag_not_found":
            return not isinstance(error["input"], dict)
        case "union_tag_invalid":
            return not isinstance(_value_of(error), str)
        case kind:
            return kind in _EXPECTED


def describe_fault(error: Any) -> str:
    """Return what is wrong with a value, as a part of a sentence."""
    kind = error["type"]
    if is_of_wrong_type(error):
        return f"expected {_expected(error)}, but got {_json_name(_value_of(error))}"
    if kind == "union_tag_invalid":
        return _describe_type(_value_of(error), error["ctx"]["expected_tags"])
    if kind in _REASONS:
        return _REASONS[kind].format(**error.get("ctx", {}))
    if kind in _LIBRARY_TYPES:
        return "this value is not accepted"
    return str(error["msg"])


def _expected(error: Any) -> str:
    """Return the JSON types that are accepted; the tag of a union names all of its branches."""
    branch = error.get("ctx", {}).get("branch", error["loc"][-1] if error["loc"] else None)
    if error["type"] == "union_tag_invalid":
        return "a string"
    return ALTERNATIVES.get(str(branch)) or _EXPECTED.get(error["type"], "an object")


def _describe_type(given: object, expected_tags: str) -> str:
    """Return the message about an unknown `type`; tags that are no types are not listed."""
    tags = [tag.strip("'") for tag in expected_tags.split(", ")]
    listed = ", ".join(f"'{tag}'" for tag in tags if is_public_tag(tag))
    return f"'{given}' is not one of the supported values: {listed}"


def _value_of(error: Any) -> object:
    """Return the value that is not accepted: a field of the input where the error names one."""
    value = error["input"]
    is_tag = error["type"] == "union_tag_invalid"
    field = tag_field(error) if is_tag else error.get("ctx", {}).get("field")
    return value.get(field) if field and isinstance(value, dict) else value


def tag_field(error: Any) -> str:
    """Return the field that tells the branches of a union apart.

    That of the messages of a chat is their role, that of everything else its type.
    """
    return "role" if error["ctx"]["discriminator"] == "'role'" else "type"


def _json_name(value: object) -> str:
    names = (name for kind, name in _JSON_NAMES if isinstance(value, kind))
    return next(names, "another value")
