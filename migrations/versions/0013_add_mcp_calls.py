"""Add the secrets of MCP tools while a response runs, and the number of its calls that have begun.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("responses", sa.Column("tool_secrets", sa.LargeBinary))
    op.add_column(
        "responses", sa.Column("calls_begun", sa.Integer, nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("responses", "calls_begun")
    op.drop_column("responses", "tool_secrets")
