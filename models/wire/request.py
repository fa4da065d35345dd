"""The body of POST /v1/responses: what is accepted, within which limits.

A field that the specification or the API knows but this server does not act on may be given with
the value that changes nothing; any other value is refused by name, never ignored.
"""

from typing import Annotated, Any, Self

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from models.wire.formats import ResponseFormat, TextConfig, format_param, merge_formats
from models.wire.grammars import GRAMMAR_PARAM, Grammar, LlguidanceGrammar
from models.wire.items import MAX_TEXT, InputMessage, text_or_items
from models.wire.sampling import SamplingFields

SEED_LIMIT = 2**63
MAX_ITEMS = 10_000

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
StopString = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Label = Annotated[str, StringConstraints(max_length=64)]
TokenLimit = Annotated[int, Field(ge=1, le=2**31 - 1)]


class GenerationParameters(SamplingFields):
    """What is stored with a response beside its input and decides how its text is made."""

    instructions: str | None = Field(None, max_length=MAX_TEXT)
    max_output_tokens: TokenLimit | None = None
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-SEED_LIMIT, lt=SEED_LIMIT)
    stop: list[StopString] = Field(default_factory=list, max_length=64)
    text: TextConfig | None = None
    grammar: Grammar | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        """`stop` is a string or a list of them."""
        if value is None:
            return []
        return [value] if isinstance(value, str) else value

    @property
    def output_limit(self) -> int | None:
        """Most tokens of output: `max_output_tokens` or the grammar's own, the smaller counts."""
        given = [self.max_output_tokens]
        if isinstance(self.grammar, LlguidanceGrammar):
            given.append(self.grammar.value.max_tokens)
        return min((each for each in given if each is not None), default=None)


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
    response_format: ResponseFormat | None = None
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

    @model_validator(mode="after")
    def _one_constraint(self) -> Self:
        """`response_format` becomes `text.format`; a grammar goes with neither."""
        if self.response_format is not None:
            self.text = merge_formats(self.text, self.response_format)
        if self.grammar is not None and self.text is not None and self.text.is_json:
            raise PydanticCustomError(
                "conflicting_constraints",
                "it cannot be combined with a JSON text.format or response_format",
                {"field": "grammar"},
            )
        return self

    @property
    def grammar_param(self) -> str:
        """The field that says what the output must follow, to be named if that is refused."""
        return GRAMMAR_PARAM if self.grammar else format_param(self.response_format)

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
