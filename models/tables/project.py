"""Projects: the owners of all other rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Float,
    Index,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
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
    name: Mapped[str] = mapped_column(Text, server_default=text("''"))
    limits: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """Limits that are set (`ProjectLimits`)."""
    permissions: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """Permissions that are set (`ProjectPermissions`)."""
    allowed_models: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    retention_days: Mapped[float | None] = mapped_column(Float)
    stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Size of all that it stores, about; measured only if that is limited."""
    stored_measured_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Time at which its deletion began."""
    erased_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Time at which nothing was left of it but this row, which keeps its id from a second use."""
    data_key: Mapped[str | None] = mapped_column(Text)
    """Key of the content at rest, encrypted with a key of the operator's; created at first use."""
    weight: Mapped[float] = mapped_column(server_default=text("1"))
    """Share of the tokens that it gets, relative to other projects that have responses queued."""
    max_running: Mapped[int | None] = mapped_column(
        BigInteger, Computed("CAST(limits ->> 'max_running' AS bigint)", persisted=True)
    )
    """The limit of that name, as claims read it."""

    __table_args__ = (
        CheckConstraint("weight > 0", name="projects_weight_is_positive"),
        Index(
            "projects_limited",
            "project_id",
            "max_running",
            postgresql_where=text("max_running IS NOT NULL"),
        ),
    )
