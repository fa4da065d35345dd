"""Event archives: the complete event stream of each finished response, for replay."""

from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base
from models.tables.partitions import by_month


class EventArchive(Base):
    """All events of one response, written in the transaction that finished it."""

    __tablename__ = "event_archives"

    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    num_events: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """JSON of the events, one per line in order from sequence number 0, zlib (RFC 1950)."""

    __table_args__ = by_month("response_id")
