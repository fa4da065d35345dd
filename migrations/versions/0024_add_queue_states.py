"""Add the function that counts what is queued and in progress, for metrics.

Revision ID: 0024
Revises: 0023
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# The API exports these numbers, and reads no more of the projects than them. Two queries, each of
# which reads a partial index: no response that has ended is looked at.
_QUEUE_STATES = """
    CREATE FUNCTION queue_states()
    RETURNS TABLE (model text, status text, priority smallint, num bigint, oldest_s float)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    DECLARE
        reach text := current_setting('antiphon.project', true);
    BEGIN
        PERFORM set_config('antiphon.project', '*', true);
        RETURN QUERY
            SELECT r.model, CAST('queued' AS text), r.priority, count(*),
                   CAST(extract(epoch FROM now() - min(r.created_at)) AS float)
            FROM responses r WHERE r.project_id IS NOT NULL AND r.status = 'queued'
            GROUP BY r.model, r.priority
            UNION ALL
            SELECT r.model, CAST('in_progress' AS text), r.priority, count(*),
                   CAST(extract(epoch FROM now() - min(r.created_at)) AS float)
            FROM responses r WHERE r.project_id IS NOT NULL AND r.status = 'in_progress'
            GROUP BY r.model, r.priority;
        PERFORM set_config('antiphon.project', reach, true);
    END $$
"""


def upgrade() -> None:
    """Apply the migration."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(_QUEUE_STATES.format(schema=schema))


def downgrade() -> None:
    """Revert the migration."""
    op.execute("DROP FUNCTION queue_states()")
