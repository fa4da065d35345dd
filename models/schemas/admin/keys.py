"""API keys, as operators create and read them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from models.access.scopes import DEFAULT_SCOPES, Scope
from models.schemas.admin.bodies import AdminBody, Name, ProjectId

MAX_DAYS = 36_500
Days = Annotated[float, Field(gt=0, le=MAX_DAYS, allow_inf_nan=False)]
GraceHours = Annotated[float, Field(ge=0, le=24 * 365, allow_inf_nan=False)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope), fail_fast=True)]


class CreateKey(AdminBody):
    """A new key."""

    project_id: ProjectId | None = None
    """Id of its project; null for the default one."""
    name: Name = ""
    scopes: Scopes = sorted(DEFAULT_SCOPES)
    expires_in_days: Days | None = None
    """Days until it expires; null if it does not."""


class RotateKey(AdminBody):
    """Options for a key that takes the place of another."""

    grace_hours: GraceHours = 24
    """Hours that the old key goes on working."""
    expires_in_days: Days | None = None
    """Days until the new key expires; null if it does not."""


class KeyResource(BaseModel):
    """A key without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    project_id: str
    name: str
    scopes: list[str]
    created_by: str
    """Id of the key that has created it; without one `open` (server), `cli` or `bootstrap`."""
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    """Unix time, to the minute."""


class KeyWithSecret(KeyResource):
    """A key as it is shown once, when it is created."""

    key: str


class KeyList(BaseModel):
    """Keys, newest first."""

    object: Literal["list"] = "list"
    data: list[KeyResource]
