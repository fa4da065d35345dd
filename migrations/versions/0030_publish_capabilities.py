"""Let workers publish what their engines can do, which the API checks requests against.

Workers of the previous release leave the column empty.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("workers", sa.Column("capabilities", JSONB))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("workers", "capabilities")
