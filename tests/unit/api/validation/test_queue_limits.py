from collections.abc import Mapping

import pytest

from api.validation.queue_limits import QueueKey, QueueLimiter
from models.errors import QueueFullError, ServerQueueFullError, UnavailableError


class Queue:
    """Queue that is counted, with the number of its counts."""

    def __init__(self, **num_queued: int) -> None:
        self.num_queued = num_queued
        self.num_counts = 0

    def count(self) -> Mapping[QueueKey, int]:
        self.num_counts += 1
        return {(project_id, True): num for project_id, num in self.num_queued.items()}


def limiter(queue: Queue, *, refresh_s: float = 60) -> QueueLimiter:
    return QueueLimiter(queue.count, max_queued=10, max_queued_per_project=4, refresh_s=refresh_s)


def test_it_works() -> None:
    limits = limiter(Queue(a=4, b=3))

    with pytest.raises(QueueFullError, match="ANTIPHON_MAX_QUEUED_PER_PROJECT is 4"):
        limits.check("a", background=True)
    limits.check("b", background=True)


def test_what_is_created_between_two_counts_is_added() -> None:
    queue = Queue()
    limits = limiter(queue)

    for _ in range(4):
        limits.check("a", background=True)
        limits.add("a", background=True)

    with pytest.raises(QueueFullError):
        limits.check("a", background=True)
    assert queue.num_counts == 1


def test_all_projects_together_have_a_limit() -> None:
    limits = limiter(Queue(a=3, b=3, c=3))
    limits.check("d", background=True)
    limits.add("d", background=True)

    with pytest.raises(ServerQueueFullError, match="ANTIPHON_MAX_QUEUED is 10"):
        limits.check("d", background=True)


def test_a_limit_of_its_own_replaces_that_of_all_projects() -> None:
    limits = limiter(Queue(a=5))

    limits.check("a", background=True, max_of_project=6)
    with pytest.raises(QueueFullError, match="it may have 5"):
        limits.check("a", background=True, max_of_project=5)


def test_jobs_leave_room_for_clients_that_wait() -> None:
    limits = limiter(Queue(a=4, b=4, c=4))

    for _ in range(4):
        limits.check("a", background=False)
        limits.add("a", background=False)

    with pytest.raises(QueueFullError, match="ANTIPHON_MAX_QUEUED_PER_PROJECT is 4"):
        limits.check("a", background=False)


def test_a_count_replaces_what_was_added_before_it() -> None:
    queue = Queue()
    limits = limiter(queue, refresh_s=0)
    for _ in range(4):
        limits.add("a", background=True)
    queue.num_queued = {"a": 1}

    for _ in range(3):
        limits.check("a", background=True)
        limits.add("a", background=True)


def test_a_count_that_fails_is_tried_again() -> None:
    queue = Queue(a=1)
    limits = QueueLimiter(
        lambda: outcomes.pop(0)(), max_queued=10, max_queued_per_project=4, refresh_s=60
    )

    def fail() -> Mapping[QueueKey, int]:
        raise UnavailableError

    outcomes = [fail, queue.count]
    with pytest.raises(UnavailableError):
        limits.check("a", background=True)
    limits.check("a", background=True)

    assert queue.num_counts == 1
