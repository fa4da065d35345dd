"""Add the checkpoint of a running response.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("responses", sa.Column("checkpoint", sa.LargeBinary))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("responses", "checkpoint")
