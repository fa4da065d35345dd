"""`text` and `response_format`: two spellings of what form the output has."""

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag
from pydantic_core import PydanticCustomError

from models.schemas.strict import WireModel

SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class TextFormat(WireModel):
    """`text.format` of type `text`: no constraint."""

    type: Literal["text"] = "text"


class JsonObjectFormat(WireModel):
    """`text.format` of type `json_object`: the output is any JSON object."""

    type: Literal["json_object"]


class JsonSchema(WireModel):
    """A schema with its name, as both spellings have it."""

    name: SchemaName
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(JsonSchema):
    """`text.format` of type `json_schema`: the output is an instance of `schema`."""

    type: Literal["json_schema"]


class ChatJsonSchemaFormat(WireModel):
    """The same as chat completions spell it: what belongs to the schema is one level deeper."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


OutputFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


def _spelling(value: object) -> str:
    """Errors in the nested form speak of it alone; its tag is its `type`, which no path shows."""
    is_nested = isinstance(value, ChatJsonSchemaFormat) or (
        isinstance(value, dict) and value.get("type") == "json_schema" and "json_schema" in value
    )
    return "json_schema" if is_nested else "flat"


ResponseFormat = Annotated[
    Annotated[OutputFormat, Tag("flat")] | Annotated[ChatJsonSchemaFormat, Tag("json_schema")],
    Discriminator(_spelling),
]


class TextConfig(WireModel):
    """The `text` field: format of the output and how wordy it is."""

    format: OutputFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    @property
    def is_json(self) -> bool:
        """Whether the format constrains the output."""
        return isinstance(self.format, JsonObjectFormat | JsonSchemaFormat)


def merge_formats(text: TextConfig | None, other: ResponseFormat) -> TextConfig:
    """Put `response_format` in the place of `text.format`; both may be given if they agree."""
    flat = _flat(other)
    text = text or TextConfig()
    if text.format is not None and _meaning(text.format) != _meaning(flat):
        raise PydanticCustomError(
            "conflicting_formats",
            "it disagrees with text.format; give one of them",
            {"field": "response_format"},
        )
    return text if text.format is not None else text.model_copy(update={"format": flat})


def _flat(given: ResponseFormat) -> OutputFormat:
    if not isinstance(given, ChatJsonSchemaFormat):
        return given
    # A schema is known by its name on the wire only, so the parts are put together unchecked.
    return JsonSchemaFormat.model_construct(type="json_schema", **dict(given.json_schema))


def _meaning(given: OutputFormat) -> str:
    """Equal texts mean the same; in Python `True == 1`, in a schema not."""
    fields = given.model_dump(by_alias=True, exclude_none=True)
    return json.dumps({"strict": False, **fields}, sort_keys=True)


def format_param(given: ResponseFormat | None) -> str:
    """Where a schema that is refused was given."""
    match given:
        case ChatJsonSchemaFormat():
            return "response_format.json_schema.schema"
        case None:
            return "text.format.schema"
        case _:
            return "response_format.schema"
