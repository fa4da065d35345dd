"""Add the keys of the content of unstored responses.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("responses", sa.Column("content_key", sa.LargeBinary))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("responses", "content_key")
