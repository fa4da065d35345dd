"""Readings of metrics at every minute of the last day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text

from models.database.connection import Database
from models.metrics.readings import MinuteReading, Reading

KEPT = timedelta(hours=25)
"""Time for which readings are kept: a day is shown, and begins with one that is older."""

# Of several processes one writes a minute, and the others find it written. A model that the first
# of them did not know is added.
_WRITE = text("""
    WITH expired AS (
        DELETE FROM metric_minutes WHERE minute < now() - :kept * interval '1 s'
    ), written AS (
        INSERT INTO metric_minutes (minute, model, taken_at, num_queued, totals)
        SELECT date_trunc('minute', now()), r.model, now(), r.num_queued, r.totals
        FROM json_to_recordset(CAST(:readings AS json))
             AS r (model text, num_queued int, totals json)
        ON CONFLICT DO NOTHING
    )
    SELECT CAST(extract(epoch FROM date_trunc('minute', now()) + interval '1 min' - now())
                AS float)
""")

# Readings at the ends of the steps; what was queued at most is found among those within a step.
_READ = text("""
    SELECT m.minute, m.model, m.taken_at, m.totals,
           (SELECT max(q.num_queued) FROM metric_minutes q
            WHERE q.minute >= m.minute AND q.minute < m.minute + :step * interval '1 s'
              AND q.model = m.model) AS max_queued
    FROM metric_minutes m
    WHERE m.minute BETWEEN :first AND :last
      AND mod(CAST(extract(epoch FROM m.minute) AS bigint), :step) = 0
    ORDER BY m.minute
""")


class Minutes:
    """Data access of the readings, over all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, readings: Sequence[Reading]) -> float:
        """Write the readings of this minute, unless it has them; delete those of the day before.

        Returns the seconds until the next minute begins by the database's clock.
        """
        rows = [
            {"model": each.model, "num_queued": each.num_queued, "totals": each.totals}
            for each in readings
        ]
        values = {"readings": orjson.dumps(rows).decode(), "kept": KEPT.total_seconds()}
        with self._database.upkeep() as connection:
            return float(connection.execute(_WRITE, values).scalar_one())

    def read(self, first: datetime, last: datetime, step: timedelta) -> list[MinuteReading]:
        """Return the readings at the beginnings of steps, which are whole minutes, in order."""
        values: dict[str, Any] = {
            "first": first,
            "last": last,
            "step": int(step.total_seconds()),
        }
        with self._database.management() as connection:
            return [MinuteReading(**row._mapping) for row in connection.execute(_READ, values)]
