"""Responses: the authoritative state of each of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base
from models.responses.status import ResponseStatus
from models.tables.partitions import by_month


class Response(Base):
    """One accepted request and its state.

    A `store: false` response also has a row, for the queue, but without content: its parameters,
    items and events are in Redis until they are delivered, or until some time after its end.
    """

    __tablename__ = "responses"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.project_id"))
    model: Mapped[str] = mapped_column(Text)
    status: Mapped[ResponseStatus]
    background: Mapped[bool]
    store: Mapped[bool]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Responses with higher priority are claimed first: twice the tier (-1 for `flex`, 1 for
    `priority`), and one more in the foreground."""
    end_user: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Digest of who it is for, among the end users of the project; see `end_user_of`."""
    charged: Mapped[float] = mapped_column(server_default=text("0"))
    """Tokens of earlier attempts, and of this one, that its flows have been charged for."""
    attempt: Mapped[int] = mapped_column(server_default="0")
    """Number of claims; the fencing token of all later writes, so that stale workers fail."""
    num_crashes: Mapped[int] = mapped_column(server_default="0")
    """Number of times that its worker was lost; a hand-back does not count."""
    isolated: Mapped[bool] = mapped_column(server_default=text("false"))
    """True if it may have crashed its workers: it must run alone in its worker."""
    worker_id: Mapped[UUID | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    checkpoint: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Serialized `Checkpoint` of a running, stored response; null once it has ended."""
    content_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Key of an unstored response's content in Redis; erased when that is delivered, or with it."""
    tool_secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Headers and access tokens for MCP servers, encrypted; erased when the response ends."""
    calls_begun: Mapped[int] = mapped_column(server_default="0")
    """Number of its MCP calls that may have been made: none of them is made again."""
    reservation: Mapped[dict[str, Any] | None]
    """Tokens that its project has reserved for it (`Reservation`)."""
    traceparent: Mapped[str | None] = mapped_column(Text)
    """Place of its request in a trace; null if that is not traced."""
    not_before: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Time before which it must not be claimed; null if it may be at once."""
    deferred: Mapped[bool] = mapped_column(server_default=text("false"))
    """True until maintenance has seen that its time has come: claims do not look at it."""
    previous_response_id: Mapped[UUID | None]
    conversation_id: Mapped[UUID | None]
    """Conversation that it continues and, unless it fails or is cancelled, appends to."""
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    usage: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    incomplete_details: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "responses_queued_by_user",
            "model",
            "project_id",
            text("priority DESC"),
            "end_user",
            "id",
            postgresql_where=text("status = 'queued'"),
        ),
        # What claims read: the same without what is deferred, however much that is.
        Index(
            "responses_claimable",
            "model",
            "project_id",
            text("priority DESC"),
            "end_user",
            "id",
            postgresql_where=text("status = 'queued' AND NOT deferred"),
        ),
        Index(
            "responses_deferred",
            "not_before",
            postgresql_where=text("status = 'queued' AND deferred"),
        ),
        Index(
            "responses_in_progress",
            "worker_id",
            postgresql_where=text("status = 'in_progress'"),
        ),
        Index("responses_by_project", "project_id", text("id DESC")),
        Index("responses_by_status", "project_id", "status", text("id DESC")),
        Index(
            "responses_by_previous",
            "project_id",
            "previous_response_id",
            postgresql_where=text("previous_response_id IS NOT NULL"),
        ),
        Index("responses_by_model", "project_id", "model", text("id DESC")),
        Index("responses_unstored", "id", postgresql_where=text("NOT store")),
        by_month("id"),
    )
