"""Add API keys, the audit trail, and limits and permissions of projects.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _time(name: str, *, is_set: bool = False) -> sa.Column[object]:
    """Return a column of times; one that `is_set` is that of the row's creation by default."""
    default = sa.text("now()") if is_set else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not is_set, server_default=default)


def upgrade() -> None:
    """Apply the migration."""
    for column in (
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sa.Column("limits", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("permissions", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("allowed_models", ARRAY(sa.Text)),
        sa.Column("retention_days", sa.Float),
        _time("deleted_at"),
    ):
        op.add_column("projects", column)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.project_id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("pepper", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        _time("created_at", is_set=True),
        _time("expires_at"),
        _time("revoked_at"),
        _time("last_used_at"),
    )
    op.create_index("api_keys_by_project", "api_keys", ["project_id"])
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("project_id", sa.Text, nullable=False),
        _time("occurred_at", is_set=True),
        sa.Column("key_id", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index("audit_entries_by_time", "audit_entries", ["occurred_at"])
    op.create_index("audit_entries_by_project", "audit_entries", ["project_id", "occurred_at"])


def downgrade() -> None:
    """Revert the migration."""
    op.drop_table("audit_entries")
    op.drop_table("api_keys")
    for name in (
        "deleted_at",
        "retention_days",
        "allowed_models",
        "permissions",
        "limits",
        "name",
    ):
        op.drop_column("projects", name)
