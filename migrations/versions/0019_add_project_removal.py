"""Add what the administration of projects needs: their removal, and the audit trail's expiry.

The functions run with the rights of their owner. Maintenance may delete entries of the audit trail
by their age alone, and the API reads of other projects no more than how much workers have to do.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_EXPIRE = """
    CREATE FUNCTION expire_audit_entries(before timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    DECLARE
        num bigint;
    BEGIN
        PERFORM set_config('antiphon.project', '@', true);
        DELETE FROM audit_entries WHERE id IN (
            SELECT id FROM audit_entries WHERE occurred_at < before ORDER BY occurred_at LIMIT 1000
        );
        GET DIAGNOSTICS num = ROW_COUNT;
        RETURN num;
    END $$
"""
_LOADS = """
    CREATE FUNCTION worker_loads() RETURNS TABLE (worker uuid, num bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    DECLARE
        scope text := current_setting('antiphon.project', true);
    BEGIN
        PERFORM set_config('antiphon.project', '*', true);
        RETURN QUERY SELECT r.worker_id, count(*) FROM responses r
            WHERE r.project_id IS NOT NULL AND r.status = 'in_progress' AND r.worker_id IS NOT NULL
            GROUP BY r.worker_id;
        PERFORM set_config('antiphon.project', scope, true);
    END $$
"""


def upgrade() -> None:
    """Apply the migration."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.add_column("projects", sa.Column("erased_at", sa.DateTime(timezone=True)))
    op.add_column(
        "audit_entries",
        sa.Column("num_times", sa.Integer, nullable=False, server_default=sa.text("1")),
    )
    for statement in (_EXPIRE, _LOADS):
        op.execute(statement.format(schema=schema))
    op.execute("REVOKE ALL ON FUNCTION expire_audit_entries(timestamptz) FROM PUBLIC")


def downgrade() -> None:
    """Revert the migration."""
    op.execute("DROP FUNCTION worker_loads()")
    op.execute("DROP FUNCTION expire_audit_entries(timestamptz)")
    op.drop_column("audit_entries", "num_times")
    op.drop_column("projects", "erased_at")
