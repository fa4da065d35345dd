"""Base class and shared fields of what operators send."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

Name = Annotated[str, StringConstraints(max_length=128)]
ProjectId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""Id of a project: a slug that its operator has chosen, or `proj_…`, made here."""
ModelId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
AllowedModels = Annotated[list[ModelId], Field(max_length=100, fail_fast=True)]
Weight = Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)]
RetentionDays = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]


class AdminBody(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _check_storable(cls, value: object) -> object:
        """Raise for NUL and lone surrogates, which Postgres' text type cannot hold."""
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise PydanticCustomError("unstorable", "NUL and lone surrogates cannot be stored")
        return value
