"""Data that the invariants are checked on: the clients' journal and the server's state."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from tests.chaos.answers import Answer, script
from tests.chaos.audit import Kept, Row
from tests.chaos.journal import Record
from tests.chaos.plan import SCRIPT_TOKENS

GIVEN_UP_AFTER = 2
"""`num_crashes` of a response that was failed for losing three workers; the last is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Record of one finished run."""

    journal: list[Record]
    kept: Kept
    num_unfinished: int = 0
    """Responses that had not ended within `rest_s`."""
    num_parallel: int = 64
    """Responses that all workers together run at a time, at most."""
    log_lost_at: tuple[float, ...] = ()
    """Times at which Redis lost the logs of all running streams, or was unreachable."""
    slow_returns: tuple[str, ...] = ()
    """Refusals after which service was not back in time."""
    num_clean_exits: dict[str, int] = field(default_factory=dict)
    """Number of exits with code 0, by part."""
    num_terms: dict[str, int] = field(default_factory=dict)
    """Number of SIGTERM sent, by part."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Answers of the model to responses that ended by themselves; none if the script answers."""
    num_orphans: int = 0
    """Processes that no supervisor has any more, at rest."""

    def stored(self) -> Iterator[tuple[Record, Row]]:
        """Yield the responses whose id a client got and whose content is still stored."""
        for record in self.journal:
            row = self.kept.rows.get(record.response_id or "")
            if row is not None and row.store:
                yield record, row

    def text_is_lost(self, record: Record) -> bool:
        """Return True if a response met the known limit of lost events (docs/guarantees.md).

        After events were sent, its worker and its log were lost, and it was cancelled, or lost its
        third worker, before another worker generated the events again. What was sent is then
        unknown; the stream ends with an error that says so.
        """
        row = self.row_of(record)
        if row is None or not record.events:
            return False
        is_given_up = row.status == "failed" and row.num_crashes >= GIVEN_UP_AFTER
        is_taken_away = row.status == "cancelled" and row.attempt > 1
        if not is_given_up and not is_taken_away:
            return False
        ended_at = min((seen.at for seen in record.seen if seen.status == row.status), default=inf)
        return any(record.events[0].at < lost_at < ended_at for lost_at in self.log_lost_at)

    def answer_of(self, row: Row, num_tokens: int) -> Answer:
        """Return what the model answers; of the script, what it says in so many tokens."""
        if self.answers:
            return self.answers[row.response_id]
        return Answer(script(num_tokens), num_tokens, num_tokens >= SCRIPT_TOKENS)

    def ends_of(self, record: Record) -> set[str]:
        """Return the statuses in which the answer to a job may end if nothing ends it before."""
        if not self.answers:
            return {"completed" if record.job.max_tokens >= SCRIPT_TOKENS else "incomplete"}
        answer = self.answers.get(record.response_id or "")
        if answer is None:  # not stored, or ended before
            return {"completed", "incomplete"}
        return {"completed" if answer.is_complete else "incomplete"}

    def row_of(self, record: Record) -> Row | None:
        """Return the row of a record's response, None if there is none."""
        return self.kept.rows.get(record.response_id or "")
