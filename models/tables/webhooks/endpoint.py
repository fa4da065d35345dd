"""Webhook endpoints: URLs that are notified when responses end."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class WebhookEndpoint(Base):
    """URL of a project and the event types that it is notified of."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    signing_secret: Mapped[str] = mapped_column(Text)
    """Secret that every delivery is signed with, in the form that its owner has."""
    old_secret: Mapped[str | None] = mapped_column(Text)
    """Previous secret, also signed with until `old_secret_until`, so that receivers can switch."""
    old_secret_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Time at which deliveries were disabled, by the owner or because the endpoint answered 410."""
    failing_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Time of the first failure since the last accepted delivery; null if there is none."""
    next_probe_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Earliest time of the next delivery while the endpoint fails: one is tried at a time."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (Index("webhook_endpoints_by_project", "project_id", text("id DESC")),)
