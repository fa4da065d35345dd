"""Conversations: ordered items that several responses share."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class Conversation(Base):
    """Conversation that responses continue and append their items to when they end."""

    __tablename__ = "conversations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    running_id: Mapped[UUID | None]
    """Response that holds the conversation's lock until it ends; nothing else changes the items."""
    next_position: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ConversationItem(Base):
    """One item of a conversation, a copy that outlives the response that it came from."""

    __tablename__ = "conversation_items"

    conversation_id: Mapped[UUID] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    item_id: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]]
    """Item as clients see it, including its id."""
    made_here: Mapped[bool] = mapped_column(server_default=text("false"))
    """True if the server made the id: references to such ids ignore the items of clients."""

    __table_args__ = (
        UniqueConstraint("conversation_id", "item_id"),
        Index("conversation_items_by_id", "project_id", "item_id"),
    )
