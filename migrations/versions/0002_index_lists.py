"""Index responses by the fields that lists filter by: status, model, metadata.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NEWEST_FIRST = sa.text("id DESC")


def upgrade() -> None:
    """Apply the migration."""
    op.create_index("responses_by_status", "responses", ["project_id", "status", _NEWEST_FIRST])
    op.create_index("responses_by_model", "responses", ["project_id", "model", _NEWEST_FIRST])
    op.create_index(
        "responses_by_metadata",
        "responses",
        [sa.text("CAST(metadata AS jsonb)")],
        postgresql_using="gin",
        postgresql_where=sa.text("CAST(metadata AS text) <> '{}'"),
    )


def downgrade() -> None:
    """Revert the migration."""
    for name in ("responses_by_metadata", "responses_by_model", "responses_by_status"):
        op.drop_index(name, "responses")
