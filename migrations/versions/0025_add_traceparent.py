"""Add the place of responses in traces, where spans of later processes are hung up.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("responses", sa.Column("traceparent", sa.Text))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("responses", "traceparent")
