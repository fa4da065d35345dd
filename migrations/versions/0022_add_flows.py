"""Add what fair queueing over projects and end users needs: weights, charges and flows.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("projects", _number("weight", "1"))
    op.create_check_constraint("projects_weight_is_positive", "projects", "weight > 0")
    op.add_column(
        "responses", sa.Column("end_user", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("responses", _number("charged", "0"))
    _create_flows("project_flows")
    _create_flows("user_flows", sa.Column("end_user", sa.BigInteger, primary_key=True))
    # The old one goes last: that locks out readers, too.
    _create_queue("responses_queued_by_user", "end_user", "id")
    op.drop_index("responses_queued", "responses")


def downgrade() -> None:
    """Revert the migration."""
    _create_queue("responses_queued", "id")
    op.drop_index("responses_queued_by_user", "responses")
    op.drop_table("user_flows")
    op.drop_table("project_flows")
    op.drop_column("responses", "charged")
    op.drop_column("responses", "end_user")
    op.drop_constraint("projects_weight_is_positive", "projects")
    op.drop_column("projects", "weight")


def _number(name: str, default: str | None) -> sa.Column[float]:
    """Return a column of numbers, which may be null unless there is a default."""
    return sa.Column(name, sa.Float, nullable=default is None, server_default=default)


def _create_flows(table: str, *keys: sa.Column[int]) -> None:
    op.create_table(
        table,
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("is_flex", sa.Boolean, primary_key=True),
        sa.Column(
            "project_id",
            sa.Text,
            sa.ForeignKey("projects.project_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        *keys,
        _number("virtual_start", None),
        _number("service", "0"),
        _number("estimate", "0"),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        postgresql_with={"fillfactor": 50},
    )
    # The policies are those of the responses: each project sees its own, and upkeep all of them.
    op.execute(f"SELECT protect_like('{table}', 'responses')")


def _create_queue(index: str, *order: str) -> None:
    columns: list[str | sa.TextClause] = ["model", "project_id", sa.text("priority DESC"), *order]
    op.create_index(index, "responses", columns, postgresql_where=sa.text("status = 'queued'"))
