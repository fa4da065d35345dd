"""Webhook deliveries: the transactional outbox, written by the statement that ends a response."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base
from models.tables.partitions import by_month

GIVE_UP_H = 72
"""Hours after the end of its response until a delivery is given up."""


class WebhookDelivery(Base):
    """Notification of one endpoint about the end of one response.

    The primary key allows one row per endpoint and response. The row is deleted with its response.
    There is no foreign key to the endpoint, since deleting an endpoint must not keep a response
    from ending.
    """

    __tablename__ = "webhook_deliveries"

    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    event_type: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """Time at which the response ended."""
    status: Mapped[str] = mapped_column(Text, server_default="pending")
    """`pending`, `delivered` or `dead` (given up unless it is replayed)."""
    num_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """Number of attempts to send it; the fencing token of their results."""
    last_attempt_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_status_code: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    give_up_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "webhook_deliveries_pending",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "webhook_deliveries_dead",
            "endpoint_id",
            "response_id",
            postgresql_where=text("status = 'dead'"),
        ),
        by_month("response_id"),
    )
