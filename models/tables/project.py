"""Projects: who owns responses."""

from datetime import datetime

from sqlalchemy import DateTime, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base

DEFAULT_PROJECT = "default"
"""The project of every request while the server has no keys."""


class Project(Base):
    """A tenant; its `project_id` stands in every other table."""

    __tablename__ = "projects"

    project_id: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    sealing_key: Mapped[str | None] = mapped_column(Text)
    """Seals what the project's clients carry; made when it is first needed."""
