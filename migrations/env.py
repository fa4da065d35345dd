"""Alembic's entry point; the database URL comes from the caller's configuration or settings."""

from alembic import context
from sqlalchemy import Connection, create_engine, event, pool, text

from models.database.connection import Base
from models.settings import load_settings
from models.tables import Response

assert Response.metadata is Base.metadata

# Not by `get_main_option`: on the command line it asks for an alembic.ini, and there is none.
given_url = context.config.file_config.get("alembic", "sqlalchemy.url", fallback=None)
url = given_url or load_settings().database_url
if not url:
    raise SystemExit("DATABASE_URL is not set: migrations need a database")

engine = create_engine(url, poolclass=pool.NullPool)


@event.listens_for(engine, "begin")
def _see_all_projects(connection: Connection) -> None:
    """Let the owner of the tables see all rows, in this transaction alone."""
    connection.exec_driver_sql("SELECT set_config('antiphon.project', '*', true)")


_PARTITIONS = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Return True if autogenerate compares the object: partitions are not declared as tables."""
    return kind != "table" or name not in partitions


with engine.connect() as connection:
    # Of two concurrent migrations, the second waits here and then finds nothing to do.
    connection.execute(text("SELECT pg_advisory_lock(7391542)"))
    # A migration that cannot get a lock fails instead of blocking all queries queued behind it.
    connection.execute(text("SET lock_timeout = '2s'"))
    partitions = set(connection.execute(_PARTITIONS).scalars())
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        include_name=_is_ours,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
