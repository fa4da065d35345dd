"""Projects: the owners of all other rows."""

from datetime import datetime

from sqlalchemy import DateTime, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base

DEFAULT_PROJECT = "default"
"""Project of every request while the server has no API keys."""


class Project(Base):
    """Tenant; every other table refers to its `project_id`."""

    __tablename__ = "projects"

    project_id: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    sealing_key: Mapped[str | None] = mapped_column(Text)
    """Key that encrypts content which clients keep, such as reasoning; created at first use."""
