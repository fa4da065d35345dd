"""Bodies of POST /v1/responses/compact, and the count of input tokens."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from models.schemas.items import InputItem
from models.schemas.request.create_response import MAX_ITEMS
from models.schemas.request.hints import AnsweredCacheOptions, CacheRetention, ImageOptions
from models.schemas.request.options import ServiceTier
from models.schemas.response import Usage
from models.schemas.strict import (
    ARRAY,
    MAX_TEXT,
    STRING_OR_ARRAY,
    FailFastList,
    Label,
    WireModel,
    string_or_array,
)


class CompactRequest(WireModel):
    """The conversation to compact; the model is required (specification §3)."""

    model: str
    input: (
        Annotated[
            Annotated[str, Field(min_length=1, max_length=MAX_TEXT), Tag(STRING_OR_ARRAY)]
            | Annotated[FailFastList[InputItem], Field(max_length=MAX_ITEMS), Tag(ARRAY)],
            Discriminator(string_or_array),
        ]
        | None
    ) = None
    previous_response_id: str | None = None
    instructions: str | None = Field(None, max_length=MAX_TEXT)
    prompt_cache_key: Label | None = None
    prompt_cache_retention: CacheRetention | None = None
    prompt_cache_options: AnsweredCacheOptions | None = None
    image: ImageOptions | None = None
    service_tier: ServiceTier | None = None


class CompactResource(BaseModel):
    """The compacted conversation, to be used as the input of the next request."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[dict[str, Any]]
    usage: Usage


class InputTokens(BaseModel):
    """The length of a prompt, in tokens."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
