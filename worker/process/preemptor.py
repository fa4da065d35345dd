"""Preemption: running responses are put off, between two tokens, for others that wait."""

import logging
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import partial

from models.background_thread import BackgroundThread
from models.responses.record import ResponseRecord
from models.store.fairness.flows import Waiting
from models.store.store import Store
from worker.generation.generation import Generation
from worker.generation.registry import RunningResponses
from worker.process.timings import WorkerTimings

logger = logging.getLogger(__name__)

MAX_RUNS = 32
"""Multiple of the shortest run after which a response may always be put off."""


class Preemptor:
    """Thread that puts off at most one response at a time while this worker has no room.

    A `flex` response yields to a queued `priority` response of its project at once, and to any
    other that is not `flex` after a wait. After a wait, too, a project or end user of whom nothing
    runs gets the place of a response of the one that has most places here: of those that have been
    claimed least often, the youngest. The response is requeued, and its task then claims the next
    one in the fair order.
    """

    def __init__(
        self,
        store: Store,
        running: RunningResponses,
        *,
        model: str,
        max_sequences: int,
        timings: WorkerTimings,
    ) -> None:
        self._store = store
        self._running = running
        self._model = model
        self._max_sequences = max_sequences
        self._wait_s = timings.preempt_after_s
        self._min_run_s = timings.preempt_run_s
        self._waiting_since: tuple[Hashable, float] = (None, 0.0)
        """Project or end user that is next and has nothing running, and since when."""
        self._thread = BackgroundThread(
            "preemptor",
            self.check,
            interval_s=timings.preempt_s,
            message="nothing put off",
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it; call after the drain."""
        self._thread.stop()

    def check(self) -> None:
        """Put off a running response if another is entitled to its place."""
        if self._running.num_claims < self._max_sequences or self._running.is_closed:
            self._waiting_since = (None, 0.0)
            return
        candidates = self._running.preemptible()
        victim = self._flex_for_priority(candidates) or self._victim_of_next(candidates)
        if victim is not None and self._running.release(victim):
            victim.wait()
            # Whoever waits next, also if it is the same project again, waits for its own time.
            self._waiting_since = (None, 0.0)
            self._store.claims.hand_back([victim.handed_back_record()])
            logger.info("response put off", extra={"response_id": victim.record.id.hex})

    def _flex_for_priority(self, candidates: Sequence[Generation]) -> Generation | None:
        """Return the youngest `flex` response of a project with a `priority` response queued."""
        flex = [each for each in candidates if each.record.priority < 0]
        if not flex:
            return None
        projects = self._store.claims.urgent_projects(
            self._model, {each.record.project_id for each in flex}
        )
        return next((each for each in flex[::-1] if each.record.project_id in projects), None)

    def _victim_of_next(self, candidates: Sequence[Generation]) -> Generation | None:
        """Return the response to put off for one that is next and has waited for long enough."""
        waiting = self._store.flows.find_waiting(self._model)
        now = time.monotonic()
        if waiting is None or waiting.key != self._waiting_since[0]:
            self._waiting_since = (waiting and waiting.key, now)
        if waiting is None or now < self._waiting_since[1] + self._wait_s:
            return None
        rested = [
            each
            for each in candidates
            # A summary would begin again.
            if each.recorder.is_logged and each.run_s >= self._needed_run_s(each.record)
        ]
        # Each is put off about as often as the others, and may be again the sooner for it.
        rested.sort(key=lambda each: -each.record.attempt)
        flex = [each for each in rested if each.record.priority < 0]
        return flex[-1] if flex else self._last_of_largest(waiting, rested)

    def _needed_run_s(self, record: ResponseRecord) -> float:
        """Return how long a response must have run: longer after each time that it was put off.

        So each attempt makes more progress than the one before, and all that is computed again when
        a response goes on stays within a small share of what it generates.
        """
        return self._min_run_s * min(record.attempt, MAX_RUNS)

    def _last_of_largest(
        self, waiting: Waiting, candidates: Sequence[Generation]
    ) -> Generation | None:
        """Return the last candidate of the rival with most places here; None without one.

        A rival has several places, or all that there are: else places would only change hands.
        """
        flow_of = partial(_rival_of, waiting)
        held = self._running.records()
        num_places = Counter(flow_of(record) for record in held)
        largest = sorted(
            (
                flow
                for flow, num in num_places.items()
                if flow is not None and (num > 1 or num == len(held))
            ),
            key=lambda flow: num_places[flow],
            reverse=True,
        )
        for flow in largest:
            for generation in candidates[::-1]:
                if flow_of(generation.record) == flow:
                    return generation
        return None


def _rival_of(waiting: Waiting, record: ResponseRecord) -> Hashable:
    """Return the rival that a response is of; None if it is of none."""
    if record.priority < 0:
        return None
    if waiting.end_user is None:
        return record.project_id if record.project_id in waiting.project_ids else None
    is_rival = record.project_id == waiting.project_id and record.end_user in waiting.end_users
    return record.end_user if is_rival else None
