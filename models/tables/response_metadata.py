"""Metadata of responses, as lists look it up."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base
from models.tables.partitions import by_month


class ResponseMetadata(Base):
    """One pair of the metadata of one response, written by a trigger of `responses`.

    Row-level security keeps conditions on JSON from using an index.
    """

    __tablename__ = "response_metadata"

    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    pair: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """First 16 bytes of the SHA-256 of `name=value`."""
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))

    __table_args__ = (
        Index("response_metadata_by_pair", "project_id", "pair", text("response_id DESC")),
        by_month("response_id"),
    )
