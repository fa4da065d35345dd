"""Monthly partitions of responses: created ahead, and dropped when all rows have expired."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, text

from models.database.connection import Base, Database
from models.ids import id_floor
from models.tables.partitions import PARENT

NUM_AHEAD = 2
"""Number of months after the current one with partitions; later rows go to the default ones."""
SETTLED_S = 7200
"""Seconds between the last end of a response in a month and dropping the month.

By then, Redis has expired all data of its responses.
"""

# Adding and dropping partitions takes exclusive locks, so the wait for them must be short.
_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '500ms'")
_IS_FREE = text("SELECT pg_try_advisory_xact_lock(7391543)")
_LABELS = text(f"""
    SELECT substring(inhrelid::regclass::text FROM '[0-9]{{4}}_[0-9]{{2}}$') AS label
    FROM pg_inherits WHERE inhparent = '{PARENT}'::regclass ORDER BY label
""")


class Partitions:
    """Creation and removal of partitions, by one process at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, now: datetime) -> list[str]:
        """Create the missing partitions of this month and those ahead; return the new labels.

        A month that already has rows in the default partitions remains there.
        """
        with self._database.statement() as connection:
            known = set(connection.execute(_LABELS).scalars())
        needed = islice(_months_from(now), NUM_AHEAD + 1)
        return [
            _label(month) for month in needed if _label(month) not in known and self._add(month)
        ]

    def drop(self, *, created_before: datetime) -> list[str]:
        """Drop months before `created_before` whose responses have all ended; return the labels."""
        with self._database.statement() as connection:
            labels = [label for label in connection.execute(_LABELS).scalars() if label]
        return [
            label
            for label in labels
            if _after(_month_of(label)) <= created_before and self._drop(label)
        ]

    def _add(self, month: datetime) -> bool:
        label, lower, upper = _label(month), id_floor(month), id_floor(_after(month))
        with self._database.transaction() as connection:
            if not _begin(connection):
                return False
            is_taken = text(
                f"SELECT EXISTS (SELECT FROM {PARENT}_default WHERE id >= :lower AND id < :upper)"
            )
            if connection.scalar(is_taken, {"lower": lower, "upper": upper}):
                return False
            for table in partitioned_tables():
                reference = (
                    f"(FOREIGN KEY (response_id) REFERENCES {PARENT}_{label} ON DELETE CASCADE)"
                )
                connection.execute(
                    text(
                        f"CREATE TABLE {table}_{label} PARTITION OF {table}"
                        f" {'' if table == PARENT else reference}"
                        f" FOR VALUES FROM ('{lower}') TO ('{upper}')"
                    )
                )
        return True

    def _drop(self, label: str) -> bool:
        with self._database.transaction() as connection:
            if not _begin(connection):
                return False
            connection.execute(text(f"LOCK TABLE {PARENT}_{label} IN SHARE MODE"))
            has_unsettled = text(
                f"SELECT EXISTS (SELECT FROM {PARENT}_{label} WHERE finished_at IS NULL"
                f" OR finished_at > now() - :settled)"
            )
            if connection.scalar(has_unsettled, {"settled": timedelta(seconds=SETTLED_S)}):
                return False
            for table in reversed(partitioned_tables()):
                connection.execute(text(f"DROP TABLE {table}_{label}"))
        return True


def partitioned_tables() -> list[str]:
    """Return the names of the tables that are partitioned by month, the parent first."""
    names = [
        table.name
        for table in Base.metadata.tables.values()
        if table.dialect_options["postgresql"]["partition_by"]
    ]
    return sorted(names, key=lambda name: (name != PARENT, name))


def _begin(connection: Connection) -> bool:
    """Set the lock timeout; return True unless another process is changing partitions."""
    connection.execute(_LOCK_TIMEOUT)
    return bool(connection.scalar(_IS_FREE))


def _months_from(now: datetime) -> Iterator[datetime]:
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while True:
        yield month
        month = _after(month)


def _after(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)


def _label(month: datetime) -> str:
    return f"{month:%Y_%m}"


def _month_of(label: str) -> datetime:
    return datetime.strptime(label, "%Y_%m").replace(tzinfo=UTC)
