"""Subscriber of the cancel channel, so that a cancel need not wait for the next heartbeat."""

from collections.abc import Callable
from uuid import UUID

import redis

from models.background_thread import BackgroundThread
from models.streams.cancel_channel import CANCEL_CHANNEL


class CancelListener:
    """Thread with one pub/sub subscription, renewed after every error of Redis."""

    def __init__(self, client: redis.Redis, *, poll_s: float) -> None:
        """Create the listener, which checks every `poll_s` seconds whether it is to stop."""
        self._client = client
        self._poll_s = poll_s
        self._thread = BackgroundThread(
            "cancel-listener",
            self._listen,
            interval_s=poll_s,
            is_immediate=True,
            message="cancel messages not received",
        )
        self._on_cancel: Callable[[UUID], None] = lambda _: None

    def start(self, on_cancel: Callable[[UUID], None]) -> None:
        """Start listening; `on_cancel` is called with the id of every cancelled response.

        That includes responses that run in other workers.
        """
        self._on_cancel = on_cancel
        self._thread.start()

    def stop(self) -> None:
        """Unsubscribe, stop the thread and wait for it."""
        self._thread.stop()

    def _listen(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe(CANCEL_CHANNEL)
            while not self._thread.stopping.is_set():
                message = subscription.get_message(timeout=self._poll_s)
                self._thread.note_success()
                if message is not None:
                    self._on_cancel(UUID(hex=message["data"].decode()))
