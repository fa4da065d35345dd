"""Monthly partitions of responses: created ahead, and dropped when all rows have expired."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from sqlalchemy import text

from models.database.connection import Base, Database
from models.ids import id_floor
from models.tables.partitions import PARENT

NUM_AHEAD = 2
"""Number of months after the current one with partitions; later rows go to the default ones."""

# Functions of the migrations, which have the rights to create and drop tables. Both take exclusive
# locks, for which they wait half a second; False if another process is changing partitions.
_ADD = text("SELECT add_month(:label, :lower, :upper)")
_DROP = text("SELECT drop_month(:label)")
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
        with self._database.upkeep() as connection:
            known = set(connection.execute(_LABELS).scalars())
        needed = islice(_months_from(now), NUM_AHEAD + 1)
        return [
            _label(month) for month in needed if _label(month) not in known and self._add(month)
        ]

    def drop(self, *, created_before: datetime) -> list[str]:
        """Drop months before `created_before` whose responses have all ended; return the labels."""
        with self._database.upkeep() as connection:
            labels = [label for label in connection.execute(_LABELS).scalars() if label]
        return [
            label
            for label in labels
            if _after(_month_of(label)) <= created_before and self._drop(label)
        ]

    def _add(self, month: datetime) -> bool:
        values = {
            "label": _label(month),
            "lower": id_floor(month),
            "upper": id_floor(_after(month)),
        }
        with self._database.upkeep() as connection:
            return bool(connection.scalar(_ADD, values))

    def _drop(self, label: str) -> bool:
        """Drop a month unless one of its responses has not ended, or less than two hours ago."""
        with self._database.upkeep() as connection:
            return bool(connection.scalar(_DROP, {"label": label}))


def partitioned_tables() -> list[str]:
    """Return the names of the tables that are partitioned by month, the parent first."""
    names = [
        table.name
        for table in Base.metadata.tables.values()
        if table.dialect_options["postgresql"]["partition_by"]
    ]
    return sorted(names, key=lambda name: (name != PARENT, name))


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
