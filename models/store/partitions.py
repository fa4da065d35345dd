"""The months that responses are partitioned by: made ahead, and dropped once all has expired."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, text

from models.database.connection import Base, Database
from models.ids import id_floor
from models.tables.partitions import PARENT

NUM_AHEAD = 2
"""Whole months after this one that have a partition; what comes later goes to the default ones."""
SETTLED_S = 7200
"""How long all of a month must have ended before it is dropped: by then Redis has nothing of it."""

# Dropping and adding partitions shut out all else, so they wait for their locks only this long.
_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '500ms'")
_IS_FREE = text("SELECT pg_try_advisory_xact_lock(7391543)")
_LABELS = text(f"""
    SELECT substring(inhrelid::regclass::text FROM '[0-9]{{4}}_[0-9]{{2}}$') AS label
    FROM pg_inherits WHERE inhparent = '{PARENT}'::regclass ORDER BY label
""")


class Partitions:
    """Adds and drops partitions. Any number of processes may try: one at a time does it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, now: datetime) -> list[str]:
        """Make the partitions of this month and those ahead; the labels of the new ones.

        A month that already has rows in the default partitions stays there.
        """
        with self._database.statement() as connection:
            known = set(connection.execute(_LABELS).scalars())
        needed = islice(_months_from(now), NUM_AHEAD + 1)
        return [
            _label(month) for month in needed if _label(month) not in known and self._add(month)
        ]

    def drop(self, *, created_before: datetime) -> list[str]:
        """Drop the months before `created_before` in which nothing has not ended; their labels."""
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
    """The tables that are partitioned by month, the parent first."""
    names = [
        table.name
        for table in Base.metadata.tables.values()
        if table.dialect_options["postgresql"]["partition_by"]
    ]
    return sorted(names, key=lambda name: (name != PARENT, name))


def _begin(connection: Connection) -> bool:
    """Whether nobody else is at it."""
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
