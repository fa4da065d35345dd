"""Form of the playground: a control for every field of a request, made from its JSON schema.

A field that is added to `CreateResponse` has its control by that alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from models.schemas.fields.request import FORMAT, HINTS, REASONING, SAMPLING, TURN
from models.schemas.request.create_response import CreateResponse

Control = Literal["text", "prose", "number", "choice", "json"]

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Request": ("model", "previous_response_id", "input", "instructions"),
    "Sampling": ("temperature", "top_p", "max_output_tokens", "n", "seed", "stop"),
    "Output": ("text", "grammar"),
    "Tools": ("tools", "tool_choice"),
    "Run": ("background", "store", "metadata"),
}
"""Fields that are shown at once; all others are in a fold."""
REST = "More fields"
_NOTES = {**TURN, **SAMPLING, **FORMAT, **REASONING, **HINTS}
_ELSEWHERE = ("stream",)
"""Fields that the page sets by itself."""
_EXAMPLES = {
    "grammar": '{"type": "regex", "value": "[A-Z]{3}"}',
    "input": "A text, or JSON: a list of items",
    "metadata": '{"team": "blue"}',
    "stop": '["\\n\\n"]',
    "text": ('{"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}}'),
    "tool_choice": "auto",
    "tools": '[{"type": "function", "name": "get_weather", "parameters": {"type": "object"}}]',
}
_PROSE = ("input", "instructions")
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """Control of one field of a request."""

    name: str
    control: Control
    choices: tuple[str, ...] = ()
    is_integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""
    example: str = ""
    """Text that shows the form of a value, where the name of the field does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormGroup:
    """Fields that are shown together."""

    title: str
    fields: tuple[FormField, ...]


@cache
def make_form() -> tuple[FormGroup, ...]:
    """Return the groups of the form, the fold last."""
    schema = CreateResponse.model_json_schema()["properties"]
    fields = {name: _make_field(name, schema[name]) for name in schema if name not in _ELSEWHERE}
    shown = [
        FormGroup(title=title, fields=tuple(fields.pop(name) for name in names))
        for title, names in _GROUPS.items()
    ]
    rest = tuple(fields[name] for name in sorted(fields))
    return (*shown, FormGroup(title=REST, fields=rest))


def _make_field(name: str, schema: Mapping[str, Any]) -> FormField:
    note = _NOTES.get(name)
    text = _LINK.sub(r"\1", note.note).replace("`", "") if note else ""
    common: dict[str, Any] = {"name": name, "help": text, "example": _EXAMPLES.get(name, "")}
    if name in _PROSE:
        return FormField(control="prose", **common)
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    only: Mapping[str, Any] = branches[0] if len(branches) == 1 else {}
    match only.get("type"):
        case "boolean":
            return FormField(control="choice", choices=("true", "false"), **common)
        case "string" if "enum" in only:
            return FormField(control="choice", choices=tuple(only["enum"]), **common)
        case "string":
            return FormField(control="text", **common)
        case "integer" | "number" as kind:
            return FormField(
                control="number",
                is_integer=kind == "integer",
                minimum=only.get("minimum", only.get("exclusiveMinimum")),
                maximum=only.get("maximum", only.get("exclusiveMaximum")),
                **common,
            )
        case _:
            return FormField(control="json", **common)
