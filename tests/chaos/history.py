"""What is checked: the clients' journal beside what the server kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.audit import Kept, Row
from tests.chaos.journal import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run, over."""

    journal: list[Record]
    kept: Kept
    num_unfinished: int = 0
    """Responses that had not ended when the time to come to rest was up."""
    num_parallel: int = 64
    """Responses that all workers together generate at a time."""

    def stored(self) -> Iterator[tuple[Record, Row]]:
        """The responses whose id a client got and that are still stored, content and all."""
        for record in self.journal:
            row = self.kept.rows.get(record.response_id or "")
            if row is not None and row.store:
                yield record, row

    def row_of(self, record: Record) -> Row | None:
        """The row of a record's response."""
        return self.kept.rows.get(record.response_id or "")
