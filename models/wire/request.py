"""The body of POST /v1/responses: what is accepted, within which limits.

A field that the specification or the API knows but this server does not act on may be given with
the value that changes nothing; any other value is refused by name, never ignored.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from models.wire.items import MAX_TEXT, InputMessage, WireModel, text_or_items
from models.wire.sampling import SamplingFields

SEED_LIMIT = 2**63
MAX_ITEMS = 10_000

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
StopString = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Label = Annotated[str, StringConstraints(max_length=64)]
TokenLimit = Annotated[int, Field(ge=1, le=2**31 - 1)]
SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class TextFormat(WireModel):
    """`text.format` of type `text`: no constraint."""

    type: Literal["text"] = "text"


class JsonSchemaFormat(WireModel):
    """`text.format` of type `json_schema`: the output is an instance of `schema`."""

    type: Literal["json_schema"]
    name: SchemaName
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class TextConfig(WireModel):
    """The `text` field: format of the output and how wordy it is."""

    format: Annotated[TextFormat | JsonSchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class GenerationParameters(SamplingFields):
    """What is stored with a response beside its input and decides how its text is made."""

    instructions: str | None = Field(None, max_length=MAX_TEXT)
    max_output_tokens: TokenLimit | None = None
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-SEED_LIMIT, lt=SEED_LIMIT)
    stop: list[StopString] = Field(default_factory=list, max_length=64)
    text: TextConfig | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        """`stop` is a string or a list of them."""
        if value is None:
            return []
        return [value] if isinstance(value, str) else value


class CreateResponse(GenerationParameters):
    """The whole body."""

    model: str | None = None
    input: Annotated[
        Annotated[str, Field(min_length=1, max_length=MAX_TEXT), Tag("text")]
        | Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_ITEMS), Tag("items")],
        Discriminator(text_or_items),
    ]
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    previous_response_id: str | None = None
    store: bool = True
    background: bool = False
    stream: bool = False
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unserved(cls, body: object) -> object:
        if not isinstance(body, dict):
            return body
        served, refused = split_unserved(body)
        if refused is not None:
            raise PydanticCustomError(
                "unsupported_parameter",
                "{field} is not supported by this server",
                {"field": refused},
            )
        return served

    @field_validator("store", "background", "stream", "metadata", mode="before")
    @classmethod
    def _null_is_default(cls, value: object, info: Any) -> object:
        """Clients send null for what they leave at its default."""
        if value is not None:
            return value
        return cls.model_fields[info.field_name].get_default(call_default_factory=True)

    @model_validator(mode="after")
    def _settle_token_limit(self) -> Self:
        """`max_tokens` and `max_completion_tokens` are other names of `max_output_tokens`."""
        for alias in ("max_tokens", "max_completion_tokens"):
            limit = getattr(self, alias)
            if limit is not None and self.max_output_tokens not in (None, limit):
                raise PydanticCustomError(
                    "conflicting_values",
                    "it disagrees with another name of the same limit",
                    {"field": alias},
                )
            self.max_output_tokens = limit or self.max_output_tokens
        return self

    def parameters(self) -> GenerationParameters:
        """The part that is stored as the response's parameters."""
        names = GenerationParameters.model_fields
        return GenerationParameters.model_construct(**{name: getattr(self, name) for name in names})

    def input_items(self) -> list[dict[str, Any]]:
        """The input as items; a string is one user message."""
        if isinstance(self.input, str):
            part = {"type": "input_text", "text": self.input}
            return [{"type": "message", "role": "user", "content": [part]}]
        return [item.model_dump(exclude_none=True) for item in self.input]


UNSERVED_FIELDS: dict[str, tuple[object, ...]] = {
    "adapter": (None,),
    "background_options": (None,),
    "context_management": (None,),
    "conversation": (None,),
    "files": (None,),
    "grammar": (None,),
    "include": (None, []),
    "logprobs": (None, False),
    "max_tool_calls": (None,),
    "max_tool_rounds": (None,),
    "moderation": (None,),
    "n": (None, 1),
    "parallel_tool_calls": (None, True),
    "prompt": (None,),
    "prompt_cache_options": (None,),
    "prompt_cache_retention": (None,),
    "reasoning": (None,),
    "response_format": (None, {"type": "text"}),
    "service_tier": (None, "auto", "default"),
    "stream_options": (None, {}),
    "tool_choice": (None, "auto", "none"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
    "truncation": (None, "disabled"),
    "user": (None,),
    "web_search_options": (None,),
}
"""Fields of the API that this server does not act on, each with the values that ask for nothing."""


def split_unserved(body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Take the fields of `UNSERVED_FIELDS` out of `body`.

    Returns the rest and the first of those fields that asks for something, if any.
    """
    served: dict[str, Any] = {}
    for name, value in body.items():
        if name not in UNSERVED_FIELDS:
            served[name] = value
        elif not _asks_for_nothing(value, UNSERVED_FIELDS[name]):
            return body, name
    return served, None


def _asks_for_nothing(value: object, neutral: tuple[object, ...]) -> bool:
    """`True == 1` in Python, but not in a request."""
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool) for other in neutral
    )
