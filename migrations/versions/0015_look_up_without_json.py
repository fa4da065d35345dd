"""Look items and responses up without conditions on JSON.

Row-level security keeps such conditions from using an index. Ids of items are in a column, and the
metadata of responses in a table of its own. Triggers fill both in, so that the inserts of the
previous version are complete, too.

Revision ID: 0015
Revises: 0014
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_BATCH_PAGES = 1000
"""Pages of 8 KiB whose rows are filled in by one transaction."""

_FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION set_item_id() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.item_id := NEW.body ->> 'id';
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION metadata_pair(name text, value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN substr(sha256(convert_to(name || '=' || value, 'UTF8')), 1, 16)
    """,
    """
    CREATE OR REPLACE FUNCTION index_metadata() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO response_metadata (response_id, pair, project_id)
        SELECT NEW.id, metadata_pair(key, value), NEW.project_id
        FROM json_each_text(NEW.metadata) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
    """,
)
_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER set_item_id BEFORE INSERT ON items
    FOR EACH ROW WHEN (NEW.item_id IS NULL) EXECUTE FUNCTION set_item_id()
    """,
    """
    CREATE OR REPLACE TRIGGER index_metadata AFTER INSERT ON responses
    FOR EACH ROW WHEN (CAST(NEW.metadata AS text) <> '{}') EXECUTE FUNCTION index_metadata()
    """,
)
_FILL_ITEMS = """
    UPDATE {items} SET item_id = body ->> 'id'
    WHERE ctid >= '({first},0)' AND ctid < '({end},0)' AND item_id IS NULL
"""
_FILL_METADATA = """
    INSERT INTO response_metadata (response_id, pair, project_id)
    SELECT r.id, metadata_pair(said.key, said.value), r.project_id
    FROM (SELECT id, project_id, metadata FROM {responses}
          WHERE CAST(metadata AS text) <> '{{}}' AND ctid >= '({first},0)' AND ctid < '({end},0)'
          FOR KEY SHARE) r, json_each_text(r.metadata) AS said
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    """Apply the migration."""
    # What a migration that was broken off has left is used.
    op.execute("ALTER TABLE items ADD COLUMN IF NOT EXISTS item_id text")
    if not sa.inspect(op.get_bind()).has_table("response_metadata"):
        _add_metadata_table()
    for statement in (*_FUNCTIONS, *_TRIGGERS):
        op.execute(statement)
    # Each batch is a transaction, and an index of a partition blocks no insert while it is built.
    with op.get_context().autocommit_block():
        for name, bounds in _batches("items"):
            op.execute(_FILL_ITEMS.format(items=name, **bounds))
        for name, bounds in _batches("responses"):
            op.execute(_FILL_METADATA.format(responses=name, **bounds))
        for name in _partitions("items"):
            _build_index(f"{name}_by_item_id", name)
    op.create_index("items_by_item_id", "items", ["project_id", "item_id"])
    op.drop_index("items_by_id", "items")
    op.drop_index("responses_by_metadata", "responses")


def downgrade() -> None:
    """Revert the migration."""
    op.create_index(
        "responses_by_metadata",
        "responses",
        [sa.text("CAST(metadata AS jsonb)")],
        postgresql_using="gin",
        postgresql_where=sa.text("CAST(metadata AS text) <> '{}'"),
    )
    op.create_index("items_by_id", "items", ["project_id", sa.text("(body ->> 'id')")])
    op.execute("DROP TRIGGER index_metadata ON responses")
    op.execute("DROP TRIGGER set_item_id ON items")
    op.drop_table("response_metadata")
    op.drop_column("items", "item_id")
    for signature in ("index_metadata()", "metadata_pair(text, text)", "set_item_id()"):
        op.execute(f"DROP FUNCTION {signature}")


def _add_metadata_table() -> None:
    """Add the table, with the same partitions as those of `responses`."""
    op.create_table(
        "response_metadata",
        sa.Column("response_id", sa.Uuid, primary_key=True),
        sa.Column("pair", sa.LargeBinary, primary_key=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.project_id"), nullable=False),
        postgresql_partition_by="RANGE (response_id)",
    )
    op.create_index(
        "response_metadata_by_pair",
        "response_metadata",
        ["project_id", "pair", sa.text("response_id DESC")],
    )
    for responses, bound in _partitions("responses").items():
        label = responses.removeprefix("responses_")
        op.execute(
            f"CREATE TABLE response_metadata_{label} PARTITION OF response_metadata"
            f" (FOREIGN KEY (response_id) REFERENCES {responses} ON DELETE CASCADE) {bound}"
        )


def _partitions(table: str) -> dict[str, str]:
    """Return the bounds of the partitions of a table by their names."""
    query = sa.text("""
        SELECT relname, pg_get_expr(relpartbound, oid) AS bound FROM pg_class
        JOIN pg_inherits ON inhrelid = oid WHERE inhparent = CAST(:name AS regclass)
    """)
    rows = op.get_bind().execute(query, {"name": table}).all()
    return {row.relname: row.bound for row in rows}


def _batches(table: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each partition of a table with ranges of its pages, as they are now."""
    query = sa.text("SELECT pg_relation_size(CAST(:name AS regclass)) / 8192")
    for name in _partitions(table):
        num_pages = op.get_bind().scalar(query, {"name": name})
        for first in range(0, num_pages or 0, _BATCH_PAGES):
            yield name, {"first": first, "end": first + _BATCH_PAGES}


def _build_index(index: str, partition: str) -> None:
    """Build the index of one partition; the index of the whole table then takes it."""
    valid = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    if op.get_bind().scalar(valid, {"name": index}):
        return
    op.execute(f"DROP INDEX IF EXISTS {index}")
    op.execute(f"CREATE INDEX CONCURRENTLY {index} ON {partition} (project_id, item_id)")
