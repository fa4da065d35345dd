"""Let responses wait in the queue for their time: `background_options.not_before`.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_CLAIMS = "model, project_id, priority DESC, end_user, id"
# Name, columns and condition of each new index. That of all queued responses stays: they are
# counted with it, and the previous version claims with it.
_INDEXES = (
    ("responses_claimable", _CLAIMS, "status = 'queued' AND NOT deferred"),
    ("responses_deferred", "not_before", "status = 'queued' AND deferred"),
)

# As before, but for responses whose time has not come: nothing can be done about them.
_QUEUE_STATES = """
    CREATE OR REPLACE FUNCTION queue_states()
    RETURNS TABLE (model text, status text, priority smallint, num bigint, oldest_s float)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    DECLARE
        reach text := current_setting('antiphon.project', true);
    BEGIN
        PERFORM set_config('antiphon.project', '*', true);
        RETURN QUERY
            SELECT r.model, CAST('queued' AS text), r.priority, count(*),
                   CAST(extract(epoch FROM now() - min({since})) AS float)
            FROM responses r WHERE r.project_id IS NOT NULL AND r.status = 'queued' {condition}
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
    # An attempt that was broken off may have left the columns and some of the indexes.
    op.execute("ALTER TABLE responses ADD COLUMN IF NOT EXISTS not_before timestamptz")
    op.execute(
        "ALTER TABLE responses ADD COLUMN IF NOT EXISTS deferred boolean NOT NULL DEFAULT false"
    )
    # An index of a partition blocks no insert while it is built; that of the table takes them all.
    with op.get_context().autocommit_block():
        for partition in _partitions():
            for name, columns, condition in _INDEXES:
                index = f"{partition}{name.removeprefix('responses')}"
                _build_index(index, f"{partition} ({columns}) WHERE {condition}")
    for name, columns, condition in _INDEXES:
        op.execute(f"CREATE INDEX {name} ON responses ({columns}) WHERE {condition}")
    _replace_queue_states("greatest(r.created_at, r.not_before)", "AND NOT r.deferred")


def downgrade() -> None:
    """Revert the migration."""
    _replace_queue_states("r.created_at", "")
    for name, _, _ in _INDEXES:
        op.drop_index(name, "responses")
    op.drop_column("responses", "deferred")
    op.drop_column("responses", "not_before")


def _replace_queue_states(since: str, condition: str) -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(_QUEUE_STATES.format(schema=schema, since=since, condition=condition))


def _partitions() -> list[str]:
    query = sa.text("""
        SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits
        WHERE inhparent = CAST('responses' AS regclass)
    """)
    return list(op.get_bind().scalars(query))


def _build_index(index: str, definition: str) -> None:
    """Build the index of one partition, unless an attempt that was broken off has left it."""
    valid = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    if op.get_bind().scalar(valid, {"name": index}):
        return
    op.execute(f"DROP INDEX IF EXISTS {index}")
    op.execute(f"CREATE INDEX CONCURRENTLY {index} ON {definition}")
