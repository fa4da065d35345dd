"""Audit trail: who changed what; rows are added and expire, and are never changed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class AuditEntry(Base):
    """One action on projects, keys, limits or webhooks, or one that was refused; no content."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(Text)
    """Project that was acted on. No foreign key: the trail outlives the project."""
    occurred_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    key_id: Mapped[str | None] = mapped_column(Text)
    """Key that acted; null for the command line."""
    address: Mapped[str | None] = mapped_column(Text)
    """Address of the client; null for the command line."""
    action: Mapped[str] = mapped_column(Text)
    """For example `key.create`."""
    object: Mapped[str] = mapped_column(Text)
    """Id of what was acted on."""
    result: Mapped[str] = mapped_column(Text)
    """`ok`, or the code of the error."""
    num_times: Mapped[int] = mapped_column(server_default=text("1"))
    """How often it has happened, of what is counted and not written one by one."""

    __table_args__ = (
        Index("audit_entries_by_time", "occurred_at"),
        Index("audit_entries_by_project", "project_id", "occurred_at"),
    )
