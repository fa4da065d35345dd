"""Webhook endpoints: who is told when a response has ended."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class WebhookEndpoint(Base):
    """An address of a project's and the events that it is told of."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    signing_secret: Mapped[str] = mapped_column(Text)
    """As its owner has it: every delivery is signed with it."""
    old_secret: Mapped[str | None] = mapped_column(Text)
    """Signed with as well until `old_secret_until`, so that receivers can change over."""
    old_secret_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Since when it is told of nothing: by its owner, or because it answered 410."""
    failing_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Null while the last delivery was accepted."""
    next_probe_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """While it fails, when the next delivery may be tried: one at a time."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (Index("webhook_endpoints_by_project", "project_id", text("id DESC")),)
