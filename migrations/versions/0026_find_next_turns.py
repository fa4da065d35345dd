"""Find the responses that follow on a response, for trees of turns.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_COLUMNS = ["project_id", "previous_response_id"]
_WHERE = "previous_response_id IS NOT NULL"


def upgrade() -> None:
    """Apply the migration."""
    # An index of a partition blocks no insert while it is built; that of the table takes them all.
    with op.get_context().autocommit_block():
        for partition in _partitions():
            _build_index(f"{partition}_by_previous", partition)
    op.create_index(
        "responses_by_previous", "responses", _COLUMNS, postgresql_where=sa.text(_WHERE)
    )


def downgrade() -> None:
    """Revert the migration."""
    op.drop_index("responses_by_previous", "responses")


def _partitions() -> list[str]:
    query = sa.text("""
        SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits
        WHERE inhparent = CAST('responses' AS regclass)
    """)
    return list(op.get_bind().scalars(query))


def _build_index(index: str, partition: str) -> None:
    """Build the index of one partition, unless an attempt that was broken off has left it."""
    valid = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    if op.get_bind().scalar(valid, {"name": index}):
        return
    op.execute(f"DROP INDEX IF EXISTS {index}")
    columns = ", ".join(_COLUMNS)
    op.execute(f"CREATE INDEX CONCURRENTLY {index} ON {partition} ({columns}) WHERE {_WHERE}")
