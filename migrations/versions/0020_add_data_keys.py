"""Add the data keys of projects, with which their content is encrypted at rest.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("projects", sa.Column("data_key", sa.Text))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("projects", "data_key")
