"""Add a flag for responses that must run alone in their worker.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column(
        "responses", sa.Column("isolated", sa.Boolean, nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("responses", "isolated")
