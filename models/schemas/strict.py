"""Base class and shared types of everything that clients send."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_TEXT = 10 * 1024 * 1024
"""Maximum characters of one text (specification)."""

MAX_GRAMMAR = 32 * 1024
"""Maximum characters of regular expressions and Lark grammars, to limit compilation time."""

MAX_PARTS = 1000
"""Maximum content parts of one item."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Label = Annotated[str, StringConstraints(max_length=64)]
Hint = Annotated[str, StringConstraints(max_length=512)]
"""An opaque text that has no effect."""
Duration = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}[smhd]$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
"""Name of a function (§2)."""
ServerLabel = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,63}$")]
"""Label of an MCP server."""
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""Name of a tool of an MCP server."""

Source = Annotated[str, Field(min_length=1, max_length=MAX_GRAMMAR)]
"""A regular expression or a Lark grammar."""

ItemId = Annotated[str, Field(min_length=1, max_length=128)]
CallId = Annotated[Label, Field(min_length=1)]
ItemStatus = Literal["in_progress", "completed", "incomplete"]

ARRAY = "_array"
OBJECT = "_object"
STRING_OR_ARRAY = "_string_or_array"
STRING_OR_OBJECT = "_string_or_object"
"""Tags of union branches that are told apart by their JSON type and not by a `type` field. A value
that is of no branch is validated as a string."""

ALTERNATIVES = {
    STRING_OR_ARRAY: "a string or an array",
    STRING_OR_OBJECT: "a string or an object",
}
"""JSON types that a union accepts, by the tag of its branch of strings."""

Value = TypeVar("Value")
FailFastList = Annotated[list[Value], Field(fail_fast=True)]
"""List whose validation ends at the first bad entry: errors take more memory than entries."""

MAX_UNKNOWN = 16
"""Unknown fields of an object that are collected as errors; of more, the first one is."""

NeutralValues = Mapping[str, tuple[object, ...] | None]
"""Values besides null that have no effect, by field; None: no value has one."""


class WireModel(BaseModel):
    """Strict model: a string is not accepted as a number, and unknown fields are refused.

    Null stands for the default of a field that has one.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    unserved: ClassVar[NeutralValues] = {}
    """Fields that are known but not acted on: `models/schemas/unserved.py`."""

    @model_validator(mode="before")
    @classmethod
    def _drop_unserved(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        _check_unknown(cls, value)
        return drop_unserved(value, cls.unserved, _defaults(cls))


@cache
def _defaults(model: type[WireModel]) -> dict[str, Any]:
    """Return the fields of a model that have a default, by the names that clients use."""
    fields = model.model_fields.items()
    return {field.alias or name: field for name, field in fields if not field.is_required()}


def _check_unknown(model: type[WireModel], fields: dict[str, Any]) -> None:
    """Raise for the first unknown field of an object that has very many."""
    if len(fields) <= len(model.model_fields) + len(model.unserved) + MAX_UNKNOWN:
        return
    known = {field.alias or name for name, field in model.model_fields.items()}
    unknown = next(name for name in fields if name not in known and name not in model.unserved)
    raise PydanticCustomError("extra_forbidden", "it is unknown", {"name": unknown})


def at_most(num_pairs: int) -> BeforeValidator:
    """Return a validator of an object that refuses more pairs, before it looks at them."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > num_pairs:
            raise PydanticCustomError(
                "too_long", "it has too many pairs", {"max_length": num_pairs}
            )
        return value

    return BeforeValidator(check)


def refuse_values(*values: object) -> BeforeValidator:
    """Return a validator that refuses by name the values that are known and not acted on."""

    def check(value: object) -> object:
        if value is not None and is_neutral(value, values):
            reason = f"This server does not act on {json.dumps(value)}."
            raise PydanticCustomError("unsupported_parameter", "{reason}", {"reason": reason})
        return value

    return BeforeValidator(check)


def drop_unserved(
    fields: dict[str, Any], unserved: NeutralValues, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `fields` without those that have no effect.

    A null of a field that has a default is the default. Raises `PydanticCustomError`, with the
    `name` of the field, for a field of `unserved` whose value would have an effect.
    """
    if None not in fields.values() and unserved.keys().isdisjoint(fields):
        return fields
    served: dict[str, Any] = {}
    for name, value in fields.items():
        if name in unserved:
            if not is_neutral(value, unserved[name]):
                raise PydanticCustomError(
                    "unsupported_parameter", "it is not supported by this server", {"name": name}
                )
        elif value is not None or name not in defaults:
            served[name] = value
    return served


def is_neutral(value: object, neutral_values: tuple[object, ...] | None) -> bool:
    """Return True if a value has no effect; in a request, unlike Python, `true` is not 1."""
    if value is None or neutral_values is None:
        return True
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool)
        for other in neutral_values
    )


def is_none(value: object) -> bool:
    """Return True for None, to leave out a field that may be absent but is never null."""
    return value is None


def is_falsy(value: object) -> bool:
    """Return True for a value that changes nothing, to leave it out."""
    return not value


def string_or_array(value: object) -> str:
    """Return the tag of a "string or array" union, so that errors mention one branch only."""
    return ARRAY if isinstance(value, list) else STRING_OR_ARRAY


def string_or_object(value: object) -> str:
    """Return the tag of a "string or object" union."""
    return OBJECT if isinstance(value, dict) else STRING_OR_OBJECT


def is_public_tag(tag: str) -> bool:
    """Return True if the tag of a union branch is a `type` that clients may send."""
    return not tag.startswith("_")
