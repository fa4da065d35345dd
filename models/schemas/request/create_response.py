"""The body of POST /v1/responses: its fields, their limits and cross-field checks.

A field of the API that this server does not support is refused by name, never ignored
(`models/schemas/unserved.py`).
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

from models.schemas.items import InputItem
from models.schemas.request.formats import ResponseFormat, format_param, merge_formats
from models.schemas.request.grammars import GRAMMAR_PARAM
from models.schemas.request.hints import BackgroundOptions
from models.schemas.request.options import ConversationId
from models.schemas.request.parameters import GenerationParameters, TokenLimit
from models.schemas.request.stored_items import num_stored, stored_items
from models.schemas.request.tool_checks import check_tools
from models.schemas.request.unsupported import UNSERVED_FIELDS, find_unserved_tool
from models.schemas.strict import (
    ARRAY,
    MAX_TEXT,
    OBJECT,
    STRING_OR_ARRAY,
    STRING_OR_OBJECT,
    FailFastList,
    ItemId,
    at_most,
    string_or_array,
    string_or_object,
)
from models.schemas.tools.tool_search import AdditionalTools, GivenToolSearchOutput
from models.schemas.tools.web_search import WebSearchOptions, WebSearchTool

MAX_ITEMS = 10_000

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
MAX_PAIRS = 16
MAX_CLIENT_PAIRS = 64
MAX_CLIENT_VALUE = 8192
Metadata = Annotated[
    dict[MetadataKey, MetadataValue], Field(max_length=MAX_PAIRS), at_most(MAX_PAIRS)
]
ClientMetadata = Annotated[
    dict[MetadataKey, Annotated[str, StringConstraints(max_length=MAX_CLIENT_VALUE)]],
    Field(max_length=MAX_CLIENT_PAIRS),
    at_most(MAX_CLIENT_PAIRS),
]


class CreateResponse(GenerationParameters):
    """The body of a request to create a response."""

    unserved = UNSERVED_FIELDS

    model: str | None = None
    input: Annotated[
        Annotated[str, Field(min_length=1, max_length=MAX_TEXT), Tag(STRING_OR_ARRAY)]
        | Annotated[FailFastList[InputItem], Field(min_length=1, max_length=MAX_ITEMS), Tag(ARRAY)],
        Discriminator(string_or_array),
    ] = Field(default_factory=list)
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    previous_response_id: str | None = None
    conversation: (
        Annotated[
            Annotated[ItemId, Tag(STRING_OR_OBJECT)] | Annotated[ConversationId, Tag(OBJECT)],
            Discriminator(string_or_object),
        ]
        | None
    ) = None
    client_metadata: ClientMetadata | None = None
    """Notes of the client about itself: taken, and not stored."""
    store: bool = True
    background: bool = False
    background_options: BackgroundOptions | None = None
    stream: bool = False
    web_search_options: WebSearchOptions | None = None
    response_format: ResponseFormat | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported_tools(cls, body: object) -> object:
        refused = find_unserved_tool(body) if isinstance(body, dict) else None
        if refused is not None:
            raise PydanticCustomError(
                "unsupported_parameter", "it is not supported by this server", {"field": refused}
            )
        return body

    @model_validator(mode="before")
    @classmethod
    def _drop_no_input(cls, body: object) -> object:
        """Accept an empty input where other turns precede it, and of a warm-up."""
        if not isinstance(body, dict) or body.get("input", ()) not in (None, (), []):
            return body
        can_be_empty = _is_warm_up(body) or any(
            body.get(name) is not None for name in ("previous_response_id", "conversation")
        )
        if can_be_empty:
            return {name: value for name, value in body.items() if name != "input"}
        if "input" not in body:
            raise PydanticCustomError("missing", "it is missing", {"field": "input"})
        if body["input"] is None:
            context = {"field": "input", "branch": STRING_OR_ARRAY}
            raise PydanticCustomError("string_type", "it is null", context)
        return body

    @model_validator(mode="after")
    def _merge_prewarm(self) -> Self:
        """Convert `prompt_cache_options.prewarm`, which overrides `generate`, into that."""
        if self.prompt_cache_options is not None and self.prompt_cache_options.prewarm:
            self.generate = False
        return self

    @field_validator("input", mode="after")
    @classmethod
    def _check_num_items(cls, given: str | list[InputItem]) -> str | list[InputItem]:
        if not isinstance(given, str) and num_stored(given) > MAX_ITEMS:
            raise PydanticCustomError("too_long", "too many calls", {"max_length": MAX_ITEMS})
        return given

    @model_validator(mode="after")
    def _merge_token_limits(self) -> Self:
        """Merge the synonyms `max_tokens` and `max_completion_tokens` into `max_output_tokens`."""
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
    def _merge_completion_window(self) -> Self:
        """Convert a completion window that can wait into `service_tier: flex`."""
        if self.background_options is None or not self.background_options.can_wait:
            return self
        if not self.background:
            raise PydanticCustomError(
                "conflicting_values",
                "it needs background to be true",
                {"field": "background_options.completion_window"},
            )
        if self.service_tier not in (None, "auto", "default", "flex"):
            raise PydanticCustomError(
                "conflicting_values",
                "it disagrees with service_tier, which asks for speed",
                {"field": "background_options.completion_window"},
            )
        self.service_tier = "flex"
        return self

    @model_validator(mode="after")
    def _check_not_before(self) -> Self:
        """Raise if a response is to start later that a client waits for, or that is not stored."""
        if self.not_before is None:
            return self
        for needed, is_met in (("background", self.background), ("store", self.store)):
            if not is_met:
                raise PydanticCustomError(
                    "conflicting_values",
                    "it needs {needed} to be true",
                    {"field": "background_options.not_before", "needed": needed},
                )
        return self

    @model_validator(mode="after")
    def _check_logprobs(self) -> Self:
        """Raise if `logprobs` contradicts `top_logprobs` or `include`."""
        if self.logprobs is False and self.num_top_logprobs is not None:
            raise PydanticCustomError(
                "conflicting_values",
                "it disagrees with top_logprobs or include, which ask for log probabilities",
                {"field": "logprobs"},
            )
        return self

    @model_validator(mode="after")
    def _check_conversation_choices(self) -> Self:
        if self.conversation is not None and (self.n or 1) > 1:
            raise PydanticCustomError(
                "conflicting_values",
                "it must be 1 where a conversation is to go on",
                {"field": "n"},
            )
        return self

    @model_validator(mode="after")
    def _merge_constraints(self) -> Self:
        """Merge `response_format` into `text.format`; raise if a grammar is given as well."""
        if self.response_format is not None:
            self.text = merge_formats(self.text, self.response_format)
        if self.grammar is not None and self.text is not None and self.text.is_json:
            raise PydanticCustomError(
                "conflicting_constraints",
                "it cannot be combined with a JSON text.format or response_format",
                {"field": "grammar"},
            )
        return self

    @model_validator(mode="after")
    def _merge_search_options(self) -> Self:
        """Convert `web_search_options` into a `web_search` tool."""
        if self.web_search_options is None:
            return self
        if any(isinstance(tool, WebSearchTool) for tool in self.tools):
            raise PydanticCustomError(
                "conflicting_values",
                "it cannot be given beside a web_search tool",
                {"field": "web_search_options"},
            )
        options = dict(self.web_search_options)
        self.tools = [*self.tools, WebSearchTool(type="web_search", **options)]
        return self

    @model_validator(mode="after")
    def _check_tools(self) -> Self:
        has_context = self.previous_response_id is not None or self.conversation is not None
        brings = isinstance(self.input, list) and any(
            isinstance(item, GivenToolSearchOutput | AdditionalTools) for item in self.input
        )
        check_tools(self, may_bring_tools=has_context or brings)
        return self

    @property
    def not_before(self) -> int | None:
        """Unix time before which it is not started."""
        return self.background_options.not_before if self.background_options else None

    @property
    def grammar_param(self) -> str:
        """Path of the field that constrains the output, for errors about it."""
        return GRAMMAR_PARAM if self.grammar else format_param(self.response_format)

    @property
    def warm_up_param(self) -> str | None:
        """Path of the field that asks for a warm-up, for errors about it; None if none does."""
        if not self.is_warm_up:
            return None
        options = self.prompt_cache_options
        return "prompt_cache_options.prewarm" if options and options.prewarm else "generate"

    def parameters(self) -> GenerationParameters:
        """Return the part that is stored as the response's parameters."""
        names = GenerationParameters.model_fields
        return GenerationParameters.model_construct(**{name: getattr(self, name) for name in names})

    def input_items(self) -> list[dict[str, Any]]:
        """Return the input as items; a string becomes one user message."""
        if isinstance(self.input, str):
            part = {"type": "input_text", "text": self.input}
            return [{"type": "message", "role": "user", "content": [part]}]
        return stored_items(self.input)


def _is_warm_up(body: dict[str, Any]) -> bool:
    """Return True if a body, not validated yet, asks for a warm-up."""
    options = body.get("prompt_cache_options")
    return body.get("generate") is False or (
        isinstance(options, dict) and options.get("prewarm") is True
    )
