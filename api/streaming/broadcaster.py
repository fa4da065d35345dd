"""Pub/sub fan-out: one Redis connection per process, shared by all its open streams.

A thousand streams cost one connection to Redis and no threads beside their own. A second thread
polls the store for idle streams, in one query a second for all of them, so that the end of a
response is noticed even while Redis is unreachable or after a message was missed.
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

from api.streaming.timings import StreamTimings
from models.background_thread import BackgroundThread
from models.errors import OverloadedError
from models.outages import OutageLog
from models.responses.status import TERMINAL, ResponseStatus
from models.streams.event_log import events_channel
from models.vital_thread import VitalThread

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds that the listener waits for a message before it checks whether to stop."""
WAKE_UP = b""
"""Empty message, on which a stream reads the store."""

Statuses = Callable[[Sequence[tuple[str, UUID]]], dict[UUID, ResponseStatus]]


class Subscription:
    """Queue of one response's messages for one stream."""

    def __init__(self, project_id: str, response_id: UUID) -> None:
        self.key = (project_id, response_id)
        self._messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.last_message_at = time.monotonic()

    def put(self, message: bytes) -> None:
        """Deliver a message."""
        self.last_message_at = time.monotonic()
        self._messages.put(message)

    def get(self, timeout_s: float) -> bytes | None:
        """Return the next message, or None if none arrives within `timeout_s` seconds."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None


class Broadcaster:
    """Fan-out of Redis messages to the streams of this process."""

    def __init__(
        self, client: redis.Redis, statuses: Statuses, *, max_streams: int, timings: StreamTimings
    ) -> None:
        self._pubsub = client.pubsub()
        self._statuses = statuses
        self._timings = timings
        self._slots = threading.BoundedSemaphore(max_streams)
        self._lock = threading.Lock()
        self._subscribers: dict[str, tuple[Subscription, ...]] = {}
        self._confirmed: dict[str, threading.Event] = {}
        self._watcher = BackgroundThread(
            "broadcaster_watch",
            self._watch,
            interval_s=timings.watch_s,
            message="idle streams not checked",
        )

    @contextmanager
    def reserve_slot(self) -> Iterator[None]:
        """Reserve a slot for one stream; raise `OverloadedError` if none is free."""
        if not self._slots.acquire(blocking=False):
            raise OverloadedError("Too many open streams; try again.")
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def subscribe(self, project_id: str, response_id: UUID) -> Iterator[Subscription]:
        """Subscribe to a response; every message published after entry is delivered."""
        subscription = Subscription(project_id, response_id)
        channel = events_channel(response_id)
        self._add(channel, subscription)
        try:
            self._confirmed[channel].wait(self._timings.confirm_s)
            yield subscription
        finally:
            self._remove(channel, subscription)

    def stop(self) -> None:
        """Stop both threads, and wait for a poll of the store in progress."""
        self._watcher.stop()

    def _add(self, channel: str, subscription: Subscription) -> None:
        with self._lock:
            self._start_once()
            others = self._subscribers.get(channel, ())
            self._subscribers[channel] = (*others, subscription)
            if not others:
                self._confirmed[channel] = threading.Event()
                self._attempt(self._pubsub.subscribe, channel)

    def _remove(self, channel: str, subscription: Subscription) -> None:
        with self._lock:
            others = tuple(
                other for other in self._subscribers[channel] if other is not subscription
            )
            if others:
                self._subscribers[channel] = others
                return
            del self._subscribers[channel]
            del self._confirmed[channel]
            self._attempt(self._pubsub.unsubscribe, channel)

    def _attempt(self, command: Callable[..., object], *channels: str) -> None:
        """Run a Redis command and log its failure: the listener resubscribes after an outage."""
        try:
            command(*channels)
        except redis.RedisError as error:
            logger.warning("subscription not changed", extra={"error": str(error)})

    def _start_once(self) -> None:
        if self._watcher.is_started:
            return
        self._watcher.start()
        VitalThread("broadcaster_listen", self._listen).start()

    def _listen(self) -> None:
        outages = OutageLog(logger, "events not received")
        while not self._watcher.stopping.is_set():
            try:
                message = self._pubsub.get_message(timeout=POLL_S)
                outages.succeeded()
                if message is not None:
                    self._deliver(message)
            except (redis.RedisError, OSError) as error:
                self._watcher.stopping.wait(outages.failed(error))
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
        """Resubscribe to every channel after an outage, and wake every stream to catch up."""
        with self._lock:
            if self._subscribers:
                self._attempt(self._pubsub.subscribe, *self._subscribers)
            for subscribers in self._subscribers.values():
                for subscription in subscribers:
                    subscription.put(WAKE_UP)

    def _watch(self) -> None:
        """Wake the idle streams whose response has ended or was deleted."""
        idle = self._find_idle()
        if not idle:
            return
        statuses = self._statuses([subscription.key for subscription in idle])
        for subscription in idle:
            status = statuses.get(subscription.key[1])
            if status is None or status in TERMINAL:
                subscription.put(WAKE_UP)

    def _find_idle(self) -> list[Subscription]:
        before = time.monotonic() - self._timings.watch_s
        with self._lock:
            subscriptions = [
                subscription
                for subscribers in self._subscribers.values()
                for subscription in subscribers
            ]
        return [
            subscription for subscription in subscriptions if subscription.last_message_at < before
        ]
