"""Idempotency keys: which response a client has made under which key of its own."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class IdempotencyKey(Base):
    """One key of one project, written together with its response."""

    __tablename__ = "idempotency_keys"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the request's body, its keys sorted."""
    response_id: Mapped[UUID]
    """Refers to a table that is partitioned, so there is no foreign key."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        Index("idempotency_keys_by_response", "response_id"),
        Index("idempotency_keys_by_age", "created_at"),
    )
