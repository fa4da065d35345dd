"""Idempotency keys: the response that was created for each key a client sent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class IdempotencyKey(Base):
    """One key of one project, written in the transaction that creates its response."""

    __tablename__ = "idempotency_keys"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the request body with sorted keys."""
    response_id: Mapped[UUID]
    """Id of the response; not a foreign key, because `responses` is partitioned."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        Index("idempotency_keys_by_response", "response_id"),
        Index("idempotency_keys_by_age", "created_at"),
    )
