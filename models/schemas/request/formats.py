"""`text.format` and `response_format`: two ways to set the format of the output."""

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag
from pydantic_core import PydanticCustomError

from models.schemas.strict import WireModel

Verbosity = Literal["low", "medium", "high"]
SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class TextFormat(WireModel):
    """`text.format` of type `text`: no constraint."""

    type: Literal["text"] = "text"


class JsonObjectFormat(WireModel):
    """`text.format` of type `json_object`: the output is any JSON object."""

    type: Literal["json_object"]


class JsonSchema(WireModel):
    """A schema with its name, as in both forms."""

    name: SchemaName
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(JsonSchema):
    """`text.format` of type `json_schema`: the output is an instance of `schema`."""

    type: Literal["json_schema"]


class ChatJsonSchemaFormat(WireModel):
    """`response_format` of type `json_schema`, nested as in the chat completions API."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


OutputFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


def _format_tag(value: object) -> str:
    """Return the tag of the flat or nested form, so that errors mention that form only.

    The nested form's tag is its `type`, which is not shown in the path of an error.
    """
    is_nested = isinstance(value, ChatJsonSchemaFormat) or (
        isinstance(value, dict) and value.get("type") == "json_schema" and "json_schema" in value
    )
    return "json_schema" if is_nested else "_flat"


ResponseFormat = Annotated[
    Annotated[OutputFormat, Tag("_flat")] | Annotated[ChatJsonSchemaFormat, Tag("json_schema")],
    Discriminator(_format_tag),
]


class TextConfig(WireModel):
    """The `text` field: the format and verbosity of the output."""

    format: OutputFormat | None = None
    verbosity: Verbosity | None = None

    @property
    def is_json(self) -> bool:
        """Return True if the format constrains the output to JSON."""
        return isinstance(self.format, JsonObjectFormat | JsonSchemaFormat)


def merge_formats(text: TextConfig | None, other: ResponseFormat) -> TextConfig:
    """Return `text` with its format set from `response_format`.

    Raises `PydanticCustomError` if both are given and disagree.
    """
    flat = _flatten(other)
    text = text or TextConfig()
    if text.format is not None and _canonical_json(text.format) != _canonical_json(flat):
        raise PydanticCustomError(
            "conflicting_formats",
            "it disagrees with text.format; give one of them",
            {"field": "response_format"},
        )
    return text if text.format is not None else text.model_copy(update={"format": flat})


def _flatten(response_format: ResponseFormat) -> OutputFormat:
    if not isinstance(response_format, ChatJsonSchemaFormat):
        return response_format
    # Validation knows `schema_` by its alias only; the fields have been validated already.
    fields = dict(response_format.json_schema)
    return JsonSchemaFormat.model_construct(type="json_schema", **fields)


def _canonical_json(output_format: OutputFormat) -> str:
    """Return JSON that is equal for equal formats; in Python `True == 1`, in a schema not."""
    fields = output_format.model_dump(by_alias=True, exclude_none=True)
    return json.dumps({"strict": False, **fields}, sort_keys=True)


def format_param(response_format: ResponseFormat | None) -> str:
    """Return the path of the field that held the schema, for errors about it."""
    match response_format:
        case ChatJsonSchemaFormat():
            return "response_format.json_schema.schema"
        case None:
            return "text.format.schema"
        case _:
            return "response_format.schema"
