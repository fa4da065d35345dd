"""Pub/sub fan-out: one Redis connection per process, shared by all its open streams.

A thread receives the messages and passes them to the event loop, where the streams are. A second
thread polls the store for idle streams, in one query a second for all of them, so that the end of a
response is noticed even while Redis is unreachable or after a message was missed.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import redis

from api.event_loop.loop import EventLoop
from api.streaming.subscription import WAKE_UP, Subscription
from api.streaming.timings import StreamTimings
from models.background_thread import BackgroundThread
from models.outages import OutageLog
from models.responses.status import TERMINAL, ResponseStatus
from models.streams.event_log import events_channel
from models.vital_thread import VitalThread

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds that the listener waits for a message before it checks whether to stop."""
MAX_POLLED = 500
"""Streams whose status is read in one query; those that were read least lately come first."""

Statuses = Callable[[Sequence[tuple[str, UUID]]], dict[UUID, ResponseStatus]]


class Broadcaster:
    """Fan-out of Redis messages to the streams of this process.

    The subscribers of each channel are changed in the event loop alone.
    """

    def __init__(
        self, client: redis.Redis, statuses: Statuses, loop: EventLoop, timings: StreamTimings
    ) -> None:
        self._pubsub = client.pubsub()
        self._statuses = statuses
        self._loop = loop
        self._timings = timings
        self._lock = threading.Lock()
        self._subscribers: dict[str, tuple[Subscription, ...]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._watcher = BackgroundThread(
            "broadcaster_watch",
            self._watch,
            interval_s=timings.watch_s,
            message="idle streams not checked",
        )

    @asynccontextmanager
    async def subscribe(self, project_id: str, response_id: UUID) -> AsyncIterator[Subscription]:
        """Subscribe to a response; every message published after entry is delivered."""
        subscription = Subscription(project_id, response_id)
        channel = events_channel(response_id)
        others = self._subscribers.get(channel, ())
        self._subscribers[channel] = (*others, subscription)
        try:
            if not others:
                self._confirmed[channel] = asyncio.Event()
                await self._loop.read(self._start_channel, channel)
            await self._await_confirmation(channel)
            yield subscription
        finally:
            self._remove(channel, subscription)

    def stop(self) -> None:
        """Stop both threads, and wait for a poll of the store in progress."""
        self._watcher.stop()

    async def _await_confirmation(self, channel: str) -> None:
        confirmed = self._confirmed[channel]
        if not confirmed.is_set():
            try:
                await asyncio.wait_for(confirmed.wait(), self._timings.confirm_s)
            except TimeoutError:
                logger.debug("subscription not confirmed")

    def _remove(self, channel: str, subscription: Subscription) -> None:
        others = tuple(other for other in self._subscribers[channel] if other is not subscription)
        if others:
            self._subscribers[channel] = others
            return
        del self._subscribers[channel]
        del self._confirmed[channel]
        self._loop.reads.submit(self._end_channel, channel)

    def _start_channel(self, channel: str) -> None:
        """Subscribe, unless the stream has left since."""
        with self._lock:
            self._start_once()
            if channel in self._subscribers:
                self._attempt(self._pubsub.subscribe, channel)

    def _end_channel(self, channel: str) -> None:
        """Unsubscribe, unless another stream has come since."""
        with self._lock:
            if channel not in self._subscribers:
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
                    self._loop.call_soon(self._deliver, message)
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
            if channels := list(self._subscribers):
                self._attempt(self._pubsub.subscribe, *channels)
        self._wake(self._all_subscriptions())

    def _watch(self) -> None:
        """Wake the idle streams whose response has ended or was deleted."""
        idle = self._find_idle()
        if not idle:
            return
        statuses = self._statuses([subscription.key for subscription in idle])
        ended = [
            subscription
            for subscription in idle
            if statuses.get(subscription.key[1]) in (None, *TERMINAL)
        ]
        self._wake(ended)

    def _wake(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            self._loop.call_soon(subscription.put, WAKE_UP)

    def _find_idle(self) -> list[Subscription]:
        now = time.monotonic()
        idle = [
            subscription
            for subscription in self._all_subscriptions()
            if subscription.checked_at < now - self._timings.watch_s
        ]
        idle.sort(key=lambda subscription: subscription.checked_at)
        for subscription in idle[:MAX_POLLED]:
            subscription.checked_at = now
        return idle[:MAX_POLLED]

    def _all_subscriptions(self) -> list[Subscription]:
        return [one for subscribers in list(self._subscribers.values()) for one in subscribers]
