"""One subscription per process, fanned out to its open streams.

A thousand streams cost one connection to Redis and no thread beside their own. A second thread
watches the store for streams that have gone quiet, in one query a second for all of them: while
Redis is away, or when a message was missed, ends are still seen.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import redis

from models.errors import OverloadedError, UnavailableError
from models.responses.status import TERMINAL, ResponseStatus
from models.streams.event_log import events_channel

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S = 1.0
CONFIRM_S = 1.0
POLL_S = 1.0
NUDGE = b""
"""The empty message: look at the store."""

Statuses = Callable[[Sequence[tuple[str, UUID]]], dict[UUID, ResponseStatus]]


class Subscription:
    """The messages of one response for one stream."""

    def __init__(self, project_id: str, response_id: UUID) -> None:
        self.key = (project_id, response_id)
        self._messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.last_message_at = time.monotonic()

    def put(self, message: bytes) -> None:
        """Deliver a message."""
        self.last_message_at = time.monotonic()
        self._messages.put(message)

    def get(self, timeout_s: float) -> bytes | None:
        """The next message; None if there was none in time."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None


class Broadcaster:
    """Subscribes for the streams of this process."""

    def __init__(self, client: redis.Redis, statuses: Statuses, *, max_streams: int) -> None:
        self._pubsub = client.pubsub()
        self._statuses = statuses
        self._places = threading.BoundedSemaphore(max_streams)
        self._lock = threading.Lock()
        self._subscribers: dict[str, tuple[Subscription, ...]] = {}
        self._confirmed: dict[str, threading.Event] = {}
        self._stopping = threading.Event()
        self._is_started = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one stream; raises `OverloadedError` when all are taken."""
        if not self._places.acquire(blocking=False):
            raise OverloadedError("Too many open streams; try again.")
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def subscribe(self, project_id: str, response_id: UUID) -> Iterator[Subscription]:
        """Follow a response; what is published after this is entered is delivered."""
        subscription = Subscription(project_id, response_id)
        channel = events_channel(response_id)
        self._add(channel, subscription)
        try:
            self._confirmed[channel].wait(CONFIRM_S)
            yield subscription
        finally:
            self._remove(channel, subscription)

    def stop(self) -> None:
        """End both threads."""
        self._stopping.set()

    def _add(self, channel: str, subscription: Subscription) -> None:
        with self._lock:
            self._start_once()
            others = self._subscribers.get(channel, ())
            self._subscribers[channel] = (*others, subscription)
            if not others:
                self._confirmed[channel] = threading.Event()
                self._try(self._pubsub.subscribe, channel)

    def _remove(self, channel: str, subscription: Subscription) -> None:
        with self._lock:
            others = tuple(each for each in self._subscribers[channel] if each is not subscription)
            if others:
                self._subscribers[channel] = others
                return
            del self._subscribers[channel]
            del self._confirmed[channel]
            self._try(self._pubsub.unsubscribe, channel)

    def _try(self, act: Callable[..., object], *channels: str) -> None:
        """Redis may be away: the listener subscribes to everything anew when it is back."""
        try:
            act(*channels)
        except redis.RedisError as error:
            logger.warning("subscription not changed", extra={"error": str(error)})

    def _start_once(self) -> None:
        if self._is_started:
            return
        self._is_started = True
        for target in (self._listen, self._watch):
            threading.Thread(target=target, name=f"hub{target.__name__}", daemon=True).start()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                message = self._pubsub.get_message(timeout=POLL_S)
                if message is not None:
                    self._deliver(message)
            except redis.RedisError as error:
                logger.warning("events not heard", extra={"error": str(error)})
                self._stopping.wait(WATCH_INTERVAL_S)
                self._resubscribe()
        self._pubsub.close()

    def _deliver(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        if message["type"] == "message":
            for subscription in self._subscribers.get(channel, ()):
                subscription.put(message["data"])
        elif message["type"] == "subscribe" and channel in self._confirmed:
            self._confirmed[channel].set()

    def _resubscribe(self) -> None:
        """After an outage: every channel again, and every stream looks what it has missed."""
        with self._lock:
            if self._subscribers:
                self._try(self._pubsub.subscribe, *self._subscribers)
            for subscribers in self._subscribers.values():
                for subscription in subscribers:
                    subscription.put(NUDGE)

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_INTERVAL_S):
            quiet = self._quiet()
            if not quiet:
                continue
            try:
                statuses = self._statuses([subscription.key for subscription in quiet])
            except UnavailableError as error:
                logger.warning("quiet streams not checked", extra={"error": str(error)})
                continue
            for subscription in quiet:
                status = statuses.get(subscription.key[1])
                if status is None or status in TERMINAL:
                    subscription.put(NUDGE)

    def _quiet(self) -> list[Subscription]:
        before = time.monotonic() - WATCH_INTERVAL_S
        with self._lock:
            everyone = [each for several in self._subscribers.values() for each in several]
        return [each for each in everyone if each.last_message_at < before]
