"""Flows: what projects, and end users within them, have queued or used lately, for fair queueing.

The virtual time of a flow is `virtual_start + service`. A flow without a row is idle, and starts
at the least virtual time of the others when it has a response queued again.
"""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base

# Most updates change no indexed column and fit on the same page, which needs no new index entries.
_ROOM_FOR_UPDATES = {"postgresql_with": {"fillfactor": 50}}


class ProjectFlow(Base):
    """Flow of one project in the queue of one model; those of the `flex` tier have their own."""

    __tablename__ = "project_flows"

    model: Mapped[str] = mapped_column(Text, primary_key=True)
    is_flex: Mapped[bool] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(
        ForeignKey("projects.project_id", ondelete="CASCADE"), primary_key=True
    )
    virtual_start: Mapped[float | None]
    """Virtual time at which it became active; null until maintenance has set it."""
    service: Mapped[float] = mapped_column(server_default=text("0"))
    """Tokens that it has been charged for since, divided by the project's weight."""
    estimate: Mapped[float] = mapped_column(server_default=text("0"))
    """Moving average of the tokens of a whole response, divided likewise; 0 if unknown."""
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    """Time of a recent response, to a second; a row is deleted only some time after it."""

    __table_args__ = (_ROOM_FOR_UPDATES,)


class UserFlow(Base):
    """Flow of one end user within a project; the columns are those of `ProjectFlow`."""

    __tablename__ = "user_flows"

    model: Mapped[str] = mapped_column(Text, primary_key=True)
    is_flex: Mapped[bool] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(
        ForeignKey("projects.project_id", ondelete="CASCADE"), primary_key=True
    )
    end_user: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Digest that `end_user_of` returns; 0 for responses that name no end user."""
    virtual_start: Mapped[float | None]
    service: Mapped[float] = mapped_column(server_default=text("0"))
    estimate: Mapped[float] = mapped_column(server_default=text("0"))
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (_ROOM_FOR_UPDATES,)
