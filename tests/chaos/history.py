"""What is checked: the clients' journal beside what the server kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from tests.chaos.audit import Kept, Row
from tests.chaos.journal import Record

GIVEN_UP_AFTER = 2
"""Crashes in the row of a response that lost its third worker: the last is not counted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run, over."""

    journal: list[Record]
    kept: Kept
    num_unfinished: int = 0
    """Responses that had not ended when the time to come to rest was up."""
    num_parallel: int = 64
    """Responses that all workers together generate at a time."""
    log_lost_at: tuple[float, ...] = ()
    """When Redis forgot the logs of all running streams, or could not be asked for them."""

    def stored(self) -> Iterator[tuple[Record, Row]]:
        """The responses whose id a client got and that are still stored, content and all."""
        for record in self.journal:
            row = self.kept.rows.get(record.response_id or "")
            if row is not None and row.store:
                yield record, row

    def text_is_lost(self, record: Record) -> bool:
        """The known limit: once events were shown, worker and log were lost, and it ended so.

        It was cancelled, or its third worker lost, before another worker made the events again.
        Nobody is left to say what was shown; the stream ends with an error that says so.
        """
        row = self.row_of(record)
        if row is None or not record.events:
            return False
        is_given_up = row.status == "failed" and row.num_crashes >= GIVEN_UP_AFTER
        is_taken_away = row.status == "cancelled" and row.attempt > 1
        if not is_given_up and not is_taken_away:
            return False
        ended_at = min((seen.at for seen in record.seen if seen.status == row.status), default=inf)
        return any(record.events[0].at < at < ended_at for at in self.log_lost_at)

    def row_of(self, record: Record) -> Row | None:
        """The row of a record's response."""
        return self.kept.rows.get(record.response_id or "")
