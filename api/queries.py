"""Paths and query strings, as the routes take them."""

import functools
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from models.status import ResponseStatus


class ResponsePath(BaseModel):
    """Which response."""

    response_id: str


class Query(BaseModel):
    """Base of query strings: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_nul(cls, value: object) -> object:
        """Postgres' text holds every character but NUL."""
        if isinstance(value, str) and "\0" in value:
            raise PydanticCustomError("nul", "NUL characters cannot be in any value")
        return value

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """flask-openapi3 asks for the schema at every request: make it once."""
        return (
            _schema_of(cls) if not (args or kwargs) else super().model_json_schema(*args, **kwargs)
        )


class RetrieveQuery(Query):
    """How to read one response."""

    stream: bool = False
    starting_after: int | None = Field(None, ge=0)
    include_obfuscation: bool | None = None


class ListQuery(Query):
    """Which responses to list."""

    status: ResponseStatus | None = None
    model: str | None = None
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: int = Field(20, ge=1, le=100)


class ItemsQuery(Query):
    """Which input items to list."""

    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: int = Field(20, ge=1, le=100)


@functools.cache
def _schema_of(query: type[Query]) -> dict[str, Any]:
    return super(Query, query).model_json_schema()
