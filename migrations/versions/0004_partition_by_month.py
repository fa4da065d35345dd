"""Partition responses, items and event archives by month.

The existing tables become the first partition: nothing is copied.

Revision ID: 0004
Revises: 0003
"""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEYS = {
    "responses": ["id"],
    "items": ["response_id", "direction", "position"],
    "event_archives": ["response_id"],
}
"""Tables and their primary keys; each is partitioned by the key's first column."""
CHILDREN = ("items", "event_archives")
NUM_AHEAD = 2


def upgrade() -> None:
    """Apply the migration."""
    month = _newest_month()
    indexes = _indexes()
    label = f"{month:%Y_%m}"
    for child in CHILDREN:
        op.drop_constraint(f"{child}_response_id_fkey", child)
    for table in KEYS:
        _rename(table, f"{table}_{label}")
        op.execute(
            f"CREATE TABLE {table} (LIKE {table}_{label} INCLUDING DEFAULTS INCLUDING STORAGE)"
            f" PARTITION BY RANGE ({KEYS[table][0]})"
        )
        _add_keys(table)
    for index in indexes:
        op.execute(sa.text(index.replace(":", r"\:")))
    for table in KEYS:
        op.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {table}_{label}"
            f" FOR VALUES FROM (MINVALUE) TO ('{_floor(_after(month))}')"
        )
    for child in CHILDREN:
        _refer(f"{child}_{label}", f"responses_{label}")
    for _ in range(NUM_AHEAD):
        month = _after(month)
        bounds = f"FOR VALUES FROM ('{_floor(month)}') TO ('{_floor(_after(month))}')"
        _add_partitions(f"{month:%Y_%m}", bounds)
    _add_partitions("default", "DEFAULT")


def downgrade() -> None:
    """Revert the migration."""
    indexes = _indexes()
    for table in KEYS:
        op.execute(
            f"CREATE TABLE {table}_whole (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)"
        )
        op.execute(f"INSERT INTO {table}_whole SELECT * FROM {table}")
    for table in reversed(KEYS):
        op.drop_table(table)
    for table in KEYS:
        op.rename_table(f"{table}_whole", table)
        _add_keys(table)
    for index in indexes:
        op.execute(sa.text(index.replace(":", r"\:")))
    for child in CHILDREN:
        _refer(child, "responses")


def _newest_month() -> datetime:
    """Return the start of the newest response's month or of the current one, the later of both."""
    newest = op.get_bind().scalar(sa.text("SELECT id FROM responses ORDER BY id DESC LIMIT 1"))
    moment = op.get_bind().scalar(sa.text("SELECT now()"))
    assert isinstance(moment, datetime)
    if newest is not None:
        moment = max(moment, datetime.fromtimestamp((newest.int >> 80) / 1000, UTC))
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _after(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _floor(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of `moment`: its first 48 bits are milliseconds."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _rename(table: str, name: str) -> None:
    op.rename_table(table, name)
    query = sa.text("SELECT indexname FROM pg_indexes WHERE tablename = :name")
    for index in op.get_bind().scalars(query, {"name": name}).all():
        op.execute(f"ALTER INDEX {index} RENAME TO {name}{index.removeprefix(table)}")


def _add_keys(table: str) -> None:
    op.create_primary_key(f"{table}_pkey", table, KEYS[table])
    op.create_foreign_key(
        f"{table}_project_id_fkey", table, "projects", ["project_id"], ["project_id"]
    )


def _indexes() -> list[str]:
    """Return the statements that create the indexes of `responses` except its primary key's."""
    query = sa.text("""
        SELECT replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes
        WHERE schemaname = current_schema() AND tablename = 'responses'
          AND indexname <> 'responses_pkey'
    """)
    return list(op.get_bind().scalars(query))


def _add_partitions(label: str, bounds: str) -> None:
    op.execute(f"CREATE TABLE responses_{label} PARTITION OF responses {bounds}")
    for child in CHILDREN:
        op.execute(f"CREATE TABLE {child}_{label} PARTITION OF {child} {bounds}")
        _refer(f"{child}_{label}", f"responses_{label}")


def _refer(child: str, responses: str) -> None:
    """Add a foreign key between partitions; one to the whole table would block dropping months."""
    op.create_foreign_key(
        f"{child}_response_id_fkey", child, responses, ["response_id"], ["id"], ondelete="CASCADE"
    )
