"""Validation errors of bodies and queries, as errors that name the field in the terms of JSON."""

from collections.abc import Mapping
from typing import Any, NoReturn

from flask import request
from pydantic import ValidationError

from api.http.validation_messages import describe_fault, is_of_wrong_type, tag_field
from models.errors import InvalidRequestError

_CODES = {
    "missing": "missing_required_parameter",
    "union_tag_not_found": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "unsupported_parameter": "unsupported_parameter",
    "string_too_long": "string_above_max_length",
    "string_too_short": "string_below_min_length",
    "too_long": "above_max_length",
    "too_short": "below_min_length",
    "greater_than": "below_min_value",
    "greater_than_equal": "below_min_value",
    "less_than": "above_max_value",
    "less_than_equal": "above_max_value",
    "too_far_ahead": "above_max_value",
}
"""Error codes by pydantic's error type; those of wrong types are `invalid_type`, the rest
`invalid_value`.
"""

_TYPE_NAMES = {int: "integer", float: "decimal", list: "array", dict: "object", str: "string"}


def refuse(error: ValidationError) -> NoReturn:
    """Raise a 400 that names the first invalid field of the current request."""
    body = request.get_json() if request.method == "POST" else request.args.to_dict()
    raise to_invalid_request(error, body)


def to_invalid_request(error: ValidationError, body: dict[str, Any]) -> InvalidRequestError:
    """Return the 400 that names the first invalid field of `body`."""
    first = error.errors(include_url=False)[0]
    context = first.get("ctx", {})
    param = context.get("field") or _format_path(first, body)
    if name := context.get("name"):
        param = f"{param}.{name}" if param else name
    param = param.replace("[][", "[")  # `include[][0]` is `include[0]`
    if first["type"].startswith("union_tag") and isinstance(first["input"], dict):
        param = f"{param}.{tag_field(first)}"
    return InvalidRequestError(
        _format_message(first, param), param=param or None, code=_choose_code(first)
    )


def _choose_code(error: Any) -> str:
    if is_of_wrong_type(error):
        return "invalid_type"
    code = _CODES.get(error["type"], "invalid_value")
    if code.startswith(("above", "below")):
        return f"{_TYPE_NAMES.get(type(error['input']), 'value')}_{code}"
    return code


def _format_message(error: Any, param: str) -> str:
    if is_of_wrong_type(error):
        return f"Invalid type for '{param}': {describe_fault(error)}."
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return f"Missing required parameter: '{param}'."
        case "extra_forbidden":
            return f"Unknown parameter: '{param}'."
        case "unsupported_parameter":
            reason = error.get("ctx", {}).get("reason", "This server does not act on it.")
            return f"Unsupported parameter: '{param}'. {reason}"
        case _:
            return f"Invalid '{param}': {describe_fault(error)}."


def _format_path(error: Any, body: Any) -> str:
    """Format pydantic's error location as a path such as `input[0].role`.

    Names of union branches, which the location also contains, are left out.
    """
    path = ""
    missing = error["loc"][-1] if error["type"] == "missing" else None
    last = len(error["loc"]) - 1
    is_tagged = False
    for depth, part in enumerate(error["loc"]):
        if isinstance(part, int):
            path += f"[{part}]"
            body = body[part] if isinstance(body, list) and part < len(body) else None
            is_tagged = False
        elif depth < last and not is_tagged and _is_tag(part, body):
            is_tagged = True
        elif isinstance(body, Mapping) and part in (*body, missing):
            is_tagged = False
            path += f".{part}" if path else part
            body = body.get(part)
    return path


def _is_tag(part: str, body: Any) -> bool:
    """Return True if a part of a location is the tag of a union branch and not a field."""
    return isinstance(body, dict) and body.get("type") == part
