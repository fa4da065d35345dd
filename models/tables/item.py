"""Items: ordered input and output of responses."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base
from models.tables.partitions import by_month


class Item(Base):
    """One input or output item of a stored response."""

    __tablename__ = "items"

    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    direction: Mapped[str] = mapped_column(Text, primary_key=True)
    """`input` or `output`."""
    position: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    body: Mapped[dict[str, Any]]
    """Item as clients see it, including its id."""
    item_id: Mapped[str | None] = mapped_column(Text)
    """Id of the item; a trigger copies it from the body."""

    __table_args__ = (
        Index("items_by_item_id", "project_id", "item_id"),
        by_month("response_id"),
    )
