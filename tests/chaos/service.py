"""Invariants of order, deletion, idempotency, cleanup and return of service: I10 to I15."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.audit import is_left
from tests.chaos.history import History
from worker.queue import VISIBILITY_S

_FOR_EVER = -1
_OF_NO_RESPONSE = ("_kombu.", "unacked", "antiphon:{metrics}:")
"""Beginnings of the names of what Celery keeps, and of the metrics of all processes."""
_RESTORED_WITHIN_S = 30.0
_OURS = ("worker-", "maintenance", "api")


def no_overtaking(history: History) -> Iterator[str]:
    """Yield responses that were overtaken by more later ones than all workers can run at a time.

    Those of one end user, that is: end users take turns. Those in the foreground may overtake those
    in the background. Unstored responses are exempt: their content is in Redis, and while that is
    down they wait.
    """
    inserted = {
        change.response_id: change.at
        for change in history.kept.changes
        if change.old_status is None
    }
    begun = [
        (inserted[row.response_id], row.started_at, row.response_id)
        for row in history.kept.rows.values()
        if row.started_at is not None and row.response_id in inserted
    ]
    later_starts: defaultdict[tuple[int, bool], list[float]] = defaultdict(list)
    for _, started_at, response_id in sorted(begun, reverse=True):
        row = history.kept.rows[response_id]
        overtaking = [True] if row.background else [True, False]
        num_overtaking = sum(
            bisect_left(later_starts[row.end_user, is_background], started_at)
            for is_background in overtaking
        )
        if row.store and num_overtaking > history.num_parallel:
            yield f"{response_id} was overtaken by {num_overtaking}"
        insort(later_starts[row.end_user, row.background], started_at)


def deleted_is_gone(history: History) -> Iterator[str]:
    """Yield responses of which anything was found after their delete was answered."""
    for record in history.journal:
        if record.deleted_at is None:
            continue
        about = f"job {record.job.number} ({record.response_id})"
        if history.row_of(record) is not None:
            yield f"{about} was deleted and its row is there"
        if 200 in record.found_after_delete:
            yield f"{about} was deleted and found"
        if any(
            connection.opened_at > record.deleted_at and connection.events
            for connection in record.connections
        ):
            yield f"{about} was deleted and streamed"
        keys = history.kept.redis_keys
        left = [key for key, ttl_s in keys.items() if is_left(key, ttl_s, {record.response_id})]
        if left:
            yield f"{about} was deleted and Redis has {left}"


def one_response_per_key(history: History) -> Iterator[str]:
    """Yield requests with one Idempotency-Key that got several ids or rows."""
    for record in history.journal:
        if len(record.ids_of_key) > 1:
            yield f"job {record.job.number}: {sorted(record.ids_of_key)} under one key"
    keyed = {str(record.job.number) for record in history.journal if record.job.posts_twice}
    rows: dict[str, list[str]] = {}
    for row in history.kept.rows.values():
        if row.metadata.get("job") in keyed:
            rows.setdefault(row.metadata["job"], []).append(row.response_id)
    for number, ids in rows.items():
        if len(ids) > 1:
            yield f"job {number}: {sorted(ids)} are rows of one key"


def nothing_left_over(history: History) -> Iterator[str]:
    """Yield unacknowledged wake-ups, lasting Redis keys and processes of nobody, at rest."""
    for seconds in history.kept.unacked_for_s:
        if seconds > VISIBILITY_S + _RESTORED_WITHIN_S:
            yield f"a wake-up is unacknowledged for {seconds:.0f} s"
    for key, ttl_s in history.kept.redis_keys.items():
        if key.startswith(_OF_NO_RESPONSE):
            continue
        if ttl_s == _FOR_EVER:
            yield f"{key} stays for ever"
        elif is_left(key, ttl_s, set()):
            yield f"{key} stays for {ttl_s} s"
    if history.num_orphans:
        yield f"{history.num_orphans} processes run on without a supervisor"


def service_returns(history: History) -> Iterator[str]:
    """Yield refusals of a server after which no new response was complete in time."""
    yield from history.slow_returns


def no_clean_exit(history: History) -> Iterator[str]:
    """Yield parts that exited with code 0 although nobody had asked them to stop."""
    for name, number in history.num_clean_exits.items():
        num_terms = history.num_terms.get(name, 0)
        if name.startswith(_OURS) and number > num_terms:
            yield f"{name} exited with code 0 {number} times and was told to {num_terms} times"


def no_bad_answers(history: History) -> Iterator[str]:
    """Yield answers that are neither correct nor a 503 with Retry-After."""
    for record in history.journal:
        for answer in record.bad_answers:
            if answer == "error event events_lost" and history.text_is_lost(record):
                continue
            yield f"job {record.job.number} ({record.response_id}): {answer}"
