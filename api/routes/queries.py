"""Path and query parameters of the routes."""

import functools
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from models.responses.status import ResponseStatus
from models.schemas.request.options import Include

_METADATA_KEY = re.compile(r"metadata\[([^]]{0,64})\]")
MAX_PAIRS = 16
MAX_VALUE = 512


class ResponsePath(BaseModel):
    """Path parameters of a response."""

    response_id: str


class Query(BaseModel):
    """Base class of query parameters: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_nul(cls, value: object) -> object:
        """Raise for a NUL character, which Postgres cannot store in text."""
        if isinstance(value, str) and "\0" in value:
            raise PydanticCustomError("nul", "NUL characters cannot be in any value")
        return value

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the schema, generated once: flask-openapi3 asks for it at every request."""
        return (
            _make_schema(cls)
            if not (args or kwargs)
            else super().model_json_schema(*args, **kwargs)
        )


class IncludeQuery(Query):
    """Base class of query parameters with `include[]`, also accepted as `include`."""

    model_config = ConfigDict(populate_by_name=True)

    include: Annotated[list[Include], Field(alias="include[]", default_factory=list)]

    @model_validator(mode="before")
    @classmethod
    def _drop_alias(cls, query: Any) -> Any:
        """Drop `include`: its values have been copied to the alias by now."""
        return {name: value for name, value in query.items() if name != "include"}


class RetrieveQuery(IncludeQuery):
    """Query parameters for reading one response."""

    stream: bool = False
    starting_after: int | None = Field(None, ge=0)
    include_obfuscation: bool | None = None


class ListQuery(Query):
    """Query parameters for listing responses."""

    status: list[ResponseStatus] = Field(default_factory=list, max_length=len(ResponseStatus))
    """Statuses that a listed response may have, given once each or separated by commas."""
    model: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    """Pairs that a listed response must have, each given as `metadata[key]=value`."""
    since: int | None = Field(None, ge=0, le=1 << 33)
    """Unix time of the oldest response."""
    until: int | None = Field(None, ge=0, le=1 << 33)
    """Unix time before which a response was created."""
    id_prefix: str | None = Field(None, pattern=r"^(resp_)?[0-9a-f]{0,32}$")
    """Beginning of the id, with or without `resp_`."""
    after: str | None = None
    before: str | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: int = Field(20, ge=1, le=100)

    @field_validator("status", mode="before")
    @classmethod
    def _split_statuses(cls, value: list[str]) -> list[str]:
        given = [name for names in value for name in names.split(",")]
        if not set(given) <= {status.value for status in ResponseStatus}:
            message = f"each must be one of {', '.join(ResponseStatus)}"
            raise PydanticCustomError("status", message, {"field": "status"})
        return list(dict.fromkeys(given))

    @model_validator(mode="before")
    @classmethod
    def _gather_metadata(cls, query: Any) -> Any:
        fields: dict[str, Any] = {}
        pairs: dict[str, str] = {}
        for name, value in query.items():
            match = _METADATA_KEY.fullmatch(name)
            if match is None:
                fields[name] = value
            elif len(value) > MAX_VALUE or "\0" in name + value:
                message = f"metadata has values of at most {MAX_VALUE} characters and no NUL"
                raise PydanticCustomError("metadata_value", message, {"field": name})
            else:
                pairs[match[1]] = value
        if len(pairs) > MAX_PAIRS:
            message = f"metadata has at most {MAX_PAIRS} pairs"
            raise PydanticCustomError("metadata_pairs", message, {"field": "metadata"})
        return {**fields, "metadata": pairs} if pairs else fields


class ItemsQuery(IncludeQuery):
    """Query parameters for listing items."""

    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: int = Field(20, ge=1, le=100)


@functools.cache
def _make_schema(query: type[Query]) -> dict[str, Any]:
    return super(Query, query).model_json_schema()
