"""Add a key per project for the encryption of `encrypted_content`.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("projects", sa.Column("sealing_key", sa.Text))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("projects", "sealing_key")
