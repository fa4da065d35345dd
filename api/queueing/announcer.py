"""Comments of a stream about the place of its response, while that is queued."""

import asyncio
from collections.abc import Callable

from api.event_loop.loop import EventLoop
from api.queueing.answers import to_comment
from api.queueing.places import QueuePlaces
from models.forecast.forecast import QueuePlace
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus

_FIRST_S = 0.5
"""Seconds until the first look: most responses have begun by then."""
_CHANGE = 0.1
"""Part of the wait by which it must have changed, against the clock, to be told again."""
_LEAST_CHANGE_S = 2.0


class PlaceAnnouncer:
    """Timer that sends a comment when the place of a queued response has changed."""

    __slots__ = (
        "_events",
        "_handle",
        "_interval_s",
        "_loop",
        "_places",
        "_record",
        "_send",
        "_told",
    )

    def __init__(
        self,
        places: QueuePlaces,
        events: EventLoop,
        record: ResponseRecord,
        send: Callable[[bytes], object],
        *,
        interval_s: float,
    ) -> None:
        """Start, in the event loop, if the response is queued and clients are told of places."""
        self._places = places
        self._events = events
        self._record = record
        self._send = send
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._told: tuple[QueuePlace, float] | None = None
        self._handle: asyncio.TimerHandle | None = None
        if places.is_on and record.status is ResponseStatus.QUEUED:
            self._handle = self._loop.call_later(min(_FIRST_S, interval_s), self._look)

    def cancel(self) -> None:
        """Stop: the response has begun, or the stream has ended."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        if self._places.is_due(self._record):
            self._events.run_later(self._places.refresh, self._record)
        place = self._places.peek(self._record) if self._places.is_waiting(self._record) else None
        if place is not None and self._has_changed(place):
            self._told = place, self._loop.time()
            self._send(to_comment(place))
        pause_s = self._interval_s if place is not None else min(_FIRST_S, self._interval_s)
        self._handle = self._loop.call_later(pause_s, self._look)

    def _has_changed(self, place: QueuePlace) -> bool:
        if self._told is None:
            return True
        told, told_at = self._told
        if place.position != told.position:
            return True
        if place.eta_seconds is None or told.eta_seconds is None:
            return place.eta_seconds is not told.eta_seconds
        expected = told.eta_seconds - (self._loop.time() - told_at)
        allowed = max(_LEAST_CHANGE_S, _CHANGE * place.eta_seconds)
        return abs(place.eta_seconds - expected) > allowed
