"""Invariants of the ends of responses: I1, I2, I3, I6."""

from collections import defaultdict
from collections.abc import Iterator

from models.responses.status import TRANSITIONS, ResponseStatus
from tests.chaos.audit import Change, Row
from tests.chaos.history import GIVEN_UP_AFTER, History
from tests.chaos.journal import TERMINAL, Record


def every_response_ends(history: History) -> Iterator[str]:
    """Yield responses accepted with 2xx that did not end, or not in a status their job allows."""
    if history.num_unfinished:
        yield f"{history.num_unfinished} responses are stuck"
    ended = {change.response_id for change in history.kept.changes if _is_end(change)}
    for record in history.journal:
        if record.response_id is None or record.delete_asked_at is not None:
            continue
        row = history.row_of(record)
        if row is None:
            # The row of an unstored response is deleted ten minutes after its end.
            if record.job.store or record.response_id not in ended:
                yield f"{_about(record)} is lost"
        elif row.status not in TERMINAL:
            yield f"{_about(record)} is still {row.status}"
        elif row.status not in _deserved(history, record, row):
            yield f"{_about(record)} is {row.status}, after {row.num_crashes} crashes"


def _deserved(history: History, record: Record, row: Row) -> set[str]:
    job = record.job
    if job.is_poison:
        return {"failed", "cancelled"} if job.cancel_after_s is not None else {"failed"}
    deserved = history.ends_of(record)
    if job.cancel_after_s is not None or record.left_at is not None:
        deserved.add("cancelled")
    if row.num_crashes >= GIVEN_UP_AFTER:
        deserved.add("failed")
    if not job.store:
        # Its content was in Redis alone, and its client had a single connection.
        deserved |= {"failed", "cancelled"}
    return deserved


def no_end_changes(history: History) -> Iterator[str]:
    """Yield transitions out of a terminal status, and readers that saw different ends."""
    for change in history.kept.changes:
        if change.old_status in TERMINAL and change.new_status is not None:
            yield f"{change.response_id}: {change.old_status} → {change.new_status}"
    for record in history.journal:
        ends = {(seen.status, seen.text) for seen in record.seen if seen.status in TERMINAL}
        row = history.row_of(record)
        if row is not None and row.store and row.status in TERMINAL:
            ends.add((row.status, row.text))
        if len(ends) > 1:
            yield f"{_about(record)} ended in several ways: {sorted(ends)}"
        yield from _relapses(record)


def _relapses(record: Record) -> Iterator[str]:
    """Yield sequential reads of one client that saw a running response after its end."""
    ended_at: float | None = None
    for seen in sorted(record.seen, key=lambda seen: seen.at):
        # A cancel is concurrent with the other reads, so its answer may arrive late.
        if seen.source == "cancel":
            continue
        if seen.status in TERMINAL:
            ended_at = seen.at
        elif ended_at is not None:
            yield f"{_about(record)} was {seen.status} after it had ended"


def no_stale_write(history: History) -> Iterator[str]:
    """Yield transitions that are illegal, or not made by the current holder of the response."""
    holders: dict[str, str | None] = {}
    num_ends: defaultdict[str, int] = defaultdict(int)
    for change in history.kept.changes:
        if change.old_status is None:
            continue
        yield from _illegal(change)
        num_ends[change.response_id] += _is_end(change)
        holder = change.owner or holders.get(change.response_id)
        if _needs_holder(change) and change.writer != holder:
            move = f"{change.old_status} → {change.new_status}"
            yield f"{change.response_id}: {move} by {change.writer}, held by {holder}"
        if _is_take_over(change):
            holders[change.response_id] = change.writer
        elif change.new_status == "queued":
            holders.pop(change.response_id, None)
    for response_id, number in num_ends.items():
        if number > 1:
            yield f"{response_id} ended {number} times"


def _illegal(change: Change) -> Iterator[str]:
    if change.new_status is None or change.old_status is None:
        return
    before, after = ResponseStatus(change.old_status), ResponseStatus(change.new_status)
    if before is not after and after not in TRANSITIONS[before]:
        yield f"{change.response_id}: {before} → {after}"
    assert change.old_attempt is not None
    assert change.new_attempt is not None
    is_raised = after is ResponseStatus.IN_PROGRESS or before is after
    if change.new_attempt != change.old_attempt + is_raised:
        yield f"{change.response_id}: attempt {change.old_attempt} → {change.new_attempt}"


def _is_end(change: Change) -> bool:
    return change.new_status in TERMINAL and change.old_status not in TERMINAL


def _is_take_over(change: Change) -> bool:
    return change.old_status == change.new_status


def _needs_holder(change: Change) -> bool:
    """Return True for a finish or hand-back; a reclaim is made by a process that is no holder."""
    if change.old_status != "in_progress" or change.new_status is None or _is_take_over(change):
        return False
    is_by_worker = change.writer.startswith("antiphon worker")
    return change.new_status in TERMINAL or is_by_worker


def cancelled_stays(history: History) -> Iterator[str]:
    """Yield responses whose cancel was answered with `cancelled`, but that ended otherwise."""
    for record, row in history.stored():
        if record.cancelled_at is not None and row.status != "cancelled":
            yield f"{_about(record)} was cancelled and is {row.status}"


def _about(record: Record) -> str:
    return f"job {record.job.number} ({record.response_id})"
