"""API keys: the right to act for a project."""

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class ApiKey(Base):
    """Key of a project. Its row stays when it is revoked: once there is a key, keys are needed."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    """Public part of the key, 10 characters."""
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """HMAC-SHA256 of the secret under a pepper."""
    pepper: Mapped[str] = mapped_column(Text)
    """Fingerprint of that pepper."""
    created_by: Mapped[str] = mapped_column(Text)
    """Id of the key that created it; without one `open` (server), `cli` or `bootstrap`."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Time of the last use, to the minute."""

    __table_args__ = (Index("api_keys_by_project", "project_id"),)
