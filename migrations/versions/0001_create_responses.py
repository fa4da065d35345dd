"""Create projects, responses, items, event archives and workers.

Revision ID: 0001
Revises:
"""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)


def _project() -> sa.Column[str]:
    return sa.Column("project_id", sa.Text, sa.ForeignKey("projects.project_id"), nullable=False)


def _response() -> sa.Column[UUID]:
    key = sa.ForeignKey("responses.id", ondelete="CASCADE")
    return sa.Column("response_id", sa.Uuid, key, primary_key=True)


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "projects",
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    )
    op.execute("INSERT INTO projects (project_id) VALUES ('default')")
    _create_responses()
    op.create_table(
        "items",
        _response(),
        sa.Column("direction", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        _project(),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "event_archives",
        _response(),
        _project(),
        sa.Column("num_events", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    # The archive is already compressed.
    op.execute("ALTER TABLE event_archives ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid, primary_key=True),
        _project(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("lease_until", MOMENT, nullable=False),
    )


def _create_responses() -> None:
    op.create_table(
        "responses",
        sa.Column("id", sa.Uuid, primary_key=True),
        _project(),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("store", sa.Boolean, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("num_crashes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker_id", sa.Uuid),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("previous_response_id", sa.Uuid),
        sa.Column("metadata", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("parameters", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("usage", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("incomplete_details", sa.JSON),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
    )
    op.create_index(
        "responses_queued",
        "responses",
        ["model", "project_id", sa.text("priority DESC"), "id"],
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "responses_in_progress",
        "responses",
        ["worker_id"],
        postgresql_where=sa.text("status = 'in_progress'"),
    )
    op.create_index(
        "responses_unstored", "responses", ["id"], postgresql_where=sa.text("NOT store")
    )
    op.create_index("responses_by_project", "responses", ["project_id", sa.text("id DESC")])


def downgrade() -> None:
    """Revert the migration."""
    for table in ("workers", "event_archives", "items", "responses", "projects"):
        op.drop_table(table)
