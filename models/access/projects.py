"""Projects as the server enforces them: their limits and permissions."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ProjectStatus = Literal["active", "deleting", "deleted"]
Count = Annotated[int, Field(ge=1, le=1 << 53)]


class ProjectLimits(BaseModel):
    """Limits of one project; None leaves it to those of the server."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    requests_per_minute: Count | None = None
    """Requests that create something: responses, chat completions, compactions, conversations."""
    input_tokens_per_minute: Count | None = None
    """Tokens of prompts."""
    output_tokens_per_minute: Count | None = None
    """Tokens of answers, reserved when a request is accepted and settled when it has ended."""
    max_queued: Count | None = None
    """Responses that wait in the queue, in the background and in the foreground each."""
    max_running: Count | None = None
    """Responses that are generated at a time."""
    max_streams: Count | None = None
    """Open streams, WebSockets and waiting requests."""
    max_stored_bytes: Count | None = None
    """Bytes of stored requests, outputs and conversations."""
    max_webhook_endpoints: Count | None = None
    """Webhook endpoints."""
    max_files: Count | None = None
    """Files."""


class ProjectPermissions(BaseModel):
    """Features that reach other servers; each needs the server's own setting, too."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    web_search: bool = True
    """Searches of the web."""
    mcp: bool = True
    """Calls of MCP servers by the worker."""
    image_urls: bool = True
    """Images that the server fetches from addresses in requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRecord:
    """One row of `projects`."""

    project_id: str
    name: str
    limits: ProjectLimits = field(default_factory=ProjectLimits)
    permissions: ProjectPermissions = field(default_factory=ProjectPermissions)
    allowed_models: tuple[str, ...] | None = None
    """Ids of the models that it may use; None for all that are served."""
    retention_days: float | None = None
    """Days that its finished responses are kept, if fewer than the server's."""
    weight: float = 1.0
    """Share of the tokens that it gets, relative to other projects that have responses queued."""
    stored_bytes: int = 0
    """Size of all that it stored when that was last measured, about."""
    stored_measured_at: datetime | None = None
    created_at: datetime
    deleted_at: datetime | None = None
    """Time at which its deletion began."""
    erased_at: datetime | None = None
    """Time at which nothing was left of it."""

    @property
    def status(self) -> ProjectStatus:
        """State of its deletion."""
        if self.erased_at is not None:
            return "deleted"
        return "active" if self.deleted_at is None else "deleting"

    def may_use(self, model_id: str) -> bool:
        """Return True if it may use a model."""
        return self.allowed_models is None or model_id in self.allowed_models
