"""Places of queued responses, from what one process has read of the queue within some seconds."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cachetools import LRUCache

from models.forecast.forecast import Forecast, QueuePlace
from models.forecast.own_queue import OwnQueue
from models.forecast.published import PublishedForecasts
from models.ids import time_of_id
from models.outages import OUTAGES, OutageLog
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.store.monitoring.forecasts import ForecastStates

logger = logging.getLogger(__name__)

FRESH_FACTOR = 10.0
"""Least time between two reads of a project's queue, in durations of the last one, so that a long
queue is not read all the time."""
CALM_FACTOR = 4.0
"""The same for all projects together, where nobody waits for it."""
KEPT_S = 30.0
"""Seconds after which what was read says nothing any more."""
MAX_IDS = 200_000
"""Queued responses that are kept in memory, of all projects that are asked about."""
_COMMIT_MARGIN = timedelta(seconds=2)
"""Most time from the making of an id to the commit of its row."""

_Key = tuple[str, str]
"""Project id and model."""


@dataclass(frozen=True, slots=True)
class _View:
    """What was read about one project and model."""

    queue: OwnQueue
    forecast: Forecast | None
    read_at: datetime
    busy_until: float
    """Time until which it is not read again for what it lacks."""
    fresh_until: float
    """Time until which it is not read again."""
    kept_until: float


class QueuePlaces:
    """Places of the responses of all projects; safe from any thread."""

    def __init__(
        self,
        states: ForecastStates,
        forecasts: PublishedForecasts,
        *,
        is_on: bool,
        fresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it; with `is_on` false, no response has a place.

        The queue of a project is read once in `fresh_s` seconds, if somebody asks.
        """
        self._states = states
        self._forecasts = forecasts
        self.is_on = is_on
        self._fresh_s = fresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._views: LRUCache[_Key, _View] = LRUCache(
            MAX_IDS, getsizeof=lambda view: 1 + view.queue.num_ids
        )
        self._reading: set[_Key] = set()
        self._calm_at = self._retry_at = float("-inf")
        self._outages = OutageLog(logger, "places in the queue not read")

    def find(self, record: ResponseRecord) -> QueuePlace | None:
        """Return the place of a response; None if it is not queued, or nothing is known.

        It may read the queue of the project, but not while another thread does.
        """
        if not self.is_on or record.status is not ResponseStatus.QUEUED:
            return None
        if self._is_stale(record) or self._is_missing(record):
            self.refresh(record)
        return self.peek(record)

    def add(self, record: ResponseRecord) -> None:
        """Take note of a response that this process has queued."""
        view = self._views_of(record)
        if view is not None and not _is_later(record.not_before):
            with self._lock:
                view.queue.add(record.priority, record.end_user, record.id)

    def peek(self, record: ResponseRecord) -> QueuePlace | None:
        """Return the place of a response that was queued, from memory alone."""
        view = self._views_of(record)
        if view is None or view.forecast is None:
            return None
        place = view.forecast.place(
            view.queue,
            record.project_id,
            priority=record.priority,
            end_user=record.end_user,
            response_id=record.id,
        )
        return _later(place, record.not_before)

    def is_waiting(self, record: ResponseRecord) -> bool:
        """Return False if a response was not queued any more when its queue was last read."""
        view = self._views_of(record)
        is_new = view is None or time_of_id(record.id) > view.read_at - _COMMIT_MARGIN
        return (
            is_new
            or _is_later(record.not_before)
            or (view is not None and view.queue.has(record.priority, record.end_user, record.id))
        )

    def is_due(self, record: ResponseRecord) -> bool:
        """Return True if the queue of a response is to be read again for those who do not wait.

        They take up to a fifth of the time of one connection, however many projects have some.
        """
        return self._clock() >= self._calm_at and self._is_stale(record)

    def _is_stale(self, record: ResponseRecord) -> bool:
        with self._lock:
            view = self._views.get(_key_of(record))
            read_from = self._retry_at if view is None else max(self._retry_at, view.fresh_until)
            is_read = _key_of(record) in self._reading
            return self.is_on and not is_read and self._clock() >= read_from

    def _is_missing(self, record: ResponseRecord) -> bool:
        """Return True if another process has queued a response since its queue was read."""
        view = self._views_of(record)
        is_known = view is None or view.queue.has(record.priority, record.end_user, record.id)
        return view is not None and not is_known and self._clock() >= view.busy_until

    def refresh(self, record: ResponseRecord) -> None:
        """Read the queue of a response, unless another thread does."""
        key = _key_of(record)
        with self._lock:
            if key in self._reading:
                return
            self._reading.add(key)
        try:
            view = self._read(record.project_id, record.model)
        except OUTAGES as error:
            self._retry_at = self._clock() + self._outages.failed(error)
        else:
            self._outages.succeeded()
            with self._lock:
                self._views.pop(key, None)
                if view.queue.num_ids < MAX_IDS:
                    self._views[key] = view
        finally:
            with self._lock:
                self._reading.discard(key)

    def _read(self, project_id: str, model: str) -> _View:
        began, read_at = self._clock(), datetime.now(UTC)
        queue = self._states.of_project(project_id, model)
        forecast = self._forecasts.read(model, project_id)
        ended = self._clock()
        self._calm_at = ended + CALM_FACTOR * (ended - began)
        busy_until = ended + FRESH_FACTOR * (ended - began)
        fresh_until = max(busy_until, began + self._fresh_s)
        return _View(queue, forecast, read_at, busy_until, fresh_until, ended + KEPT_S)

    def _views_of(self, record: ResponseRecord) -> _View | None:
        with self._lock:
            view = self._views.get(_key_of(record))
        return view if view is not None and self._clock() < view.kept_until else None


def _key_of(record: ResponseRecord) -> _Key:
    return record.project_id, record.model


def _is_later(not_before: datetime | None) -> bool:
    return not_before is not None and not_before > datetime.now(UTC)


def _later(place: QueuePlace, not_before: datetime | None) -> QueuePlace:
    """Return the place of a response that is not started before a time: it has none until then."""
    if not_before is None or not _is_later(not_before):
        return place
    delay_s = round((not_before - datetime.now(UTC)).total_seconds(), 1)
    eta_s = None if place.eta_seconds is None else max(delay_s, place.eta_seconds)
    return QueuePlace(position=None, eta_seconds=eta_s)
