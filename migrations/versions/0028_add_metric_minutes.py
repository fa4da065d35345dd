"""Add the readings of metrics at every minute, for the graphs of the dashboard.

Revision ID: 0028
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None

# The rows are of no project, so that none sees them. Operators read them as they read projects, and
# maintenance, which `grants.py` adds to those who may, writes them.
_PROTECT = (
    "ALTER TABLE metric_minutes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    """CREATE POLICY management ON metric_minutes FOR SELECT TO PUBLIC
       USING ((SELECT current_reach()) = '@')""",
    """CREATE POLICY upkeep ON metric_minutes TO CURRENT_USER
       USING ((SELECT current_reach()) = '*')""",
)


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "metric_minutes",
        sa.Column("minute", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("num_queued", sa.Integer, nullable=False),
        sa.Column("totals", sa.JSON, nullable=False),
    )
    for statement in _PROTECT:
        op.execute(statement)


def downgrade() -> None:
    """Revert the migration."""
    op.drop_table("metric_minutes")
