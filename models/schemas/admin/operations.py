"""The audit trail, and workers."""

from typing import Literal

from pydantic import BaseModel

from models.schemas.pages import Page


class AuditEntryResource(BaseModel):
    """One action, or a number of refused requests of one kind."""

    id: str
    object: Literal["audit_entry"] = "audit_entry"
    occurred_at: int
    project_id: str | None
    key_id: str | None
    """Null for the command line, and while the server is open."""
    address: str | None
    action: str
    object_id: str
    result: str
    """`ok`, or the code of the error."""
    num_times: int


class AuditPage(Page):
    """One page of entries, newest first."""

    data: list[AuditEntryResource]


class WorkerResource(BaseModel):
    """A worker process."""

    id: str
    object: Literal["worker"] = "worker"
    name: str
    model: str
    host: str
    pid: int
    started_at: int
    lease_until: int
    is_alive: bool
    """False if its lease has expired."""
    num_running: int


class WorkerList(BaseModel):
    """Workers, by their names."""

    object: Literal["list"] = "list"
    data: list[WorkerResource]
