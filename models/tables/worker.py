"""Workers: who generates, and until when their word counts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class Worker(Base):
    """A running worker process. Its lease covers every response it has claimed."""

    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    """The project that operates it; it serves all."""
    name: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    lease_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """On the database's clock; past it, the worker's responses may be reclaimed."""
