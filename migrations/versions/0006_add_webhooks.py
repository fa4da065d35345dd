"""Add webhook endpoints and their deliveries.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)
ZERO = sa.text("0")


def _project() -> sa.Column[str]:
    return sa.Column("project_id", sa.Text, sa.ForeignKey("projects.project_id"), nullable=False)


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid, primary_key=True),
        _project(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event_types", ARRAY(sa.Text), nullable=False),
        sa.Column("signing_secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until", MOMENT),
        sa.Column("disabled_at", MOMENT),
        sa.Column("failing_since", MOMENT),
        sa.Column("next_probe_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    )
    op.create_index(
        "webhook_endpoints_by_project", "webhook_endpoints", ["project_id", sa.text("id DESC")]
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("response_id", sa.Uuid, primary_key=True),
        sa.Column("endpoint_id", sa.Uuid, primary_key=True),
        _project(),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="pending"),
        sa.Column("num_attempts", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("last_attempt_at", MOMENT),
        sa.Column("last_status_code", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("give_up_at", MOMENT, nullable=False),
        postgresql_partition_by="RANGE (response_id)",
    )
    for status, column in (("pending", "next_attempt_at"), ("dead", "response_id")):
        op.create_index(
            f"webhook_deliveries_{status}",
            "webhook_deliveries",
            ["endpoint_id", column],
            postgresql_where=sa.text(f"status = '{status}'"),
        )
    _add_partitions()


def downgrade() -> None:
    """Revert the migration."""
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")


def _add_partitions() -> None:
    """Create the same partitions as those of `responses`, each with a foreign key to its parent."""
    query = sa.text("""
        SELECT relname, pg_get_expr(relpartbound, oid) AS bound FROM pg_class
        JOIN pg_inherits ON inhrelid = oid WHERE inhparent = 'responses'::regclass
    """)
    for responses, bound in op.get_bind().execute(query).all():
        label = responses.removeprefix("responses_")
        op.execute(
            f"CREATE TABLE webhook_deliveries_{label} PARTITION OF webhook_deliveries"
            f" (FOREIGN KEY (response_id) REFERENCES {responses} ON DELETE CASCADE) {bound}"
        )
