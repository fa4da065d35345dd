"""Worker processes and their leases."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class Worker(Base):
    """Running worker process. Its lease covers every response that it has claimed."""

    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    """Project that operates the worker; the worker serves all projects."""
    name: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    lease_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """End of the lease by the database's clock; after it, the worker's responses are reclaimed."""
    capabilities: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What its engine can do; null of a worker of an earlier release."""
