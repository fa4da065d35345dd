"""Add what limits of projects need: the tokens that responses reserve, and sizes of projects.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("responses", sa.Column("reservation", sa.JSON))
    op.add_column("projects", sa.Column("stored_bytes", sa.BigInteger))
    op.add_column("projects", sa.Column("stored_measured_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("projects", "stored_measured_at")
    op.drop_column("projects", "stored_bytes")
    op.drop_column("responses", "reservation")
