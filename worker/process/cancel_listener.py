"""Listens for cancel nudges, so that a cancel need not wait for the next heartbeat."""

import logging
import threading
from collections.abc import Callable
from uuid import UUID

import redis

from models.streams.cancel_channel import CANCEL_CHANNEL

logger = logging.getLogger(__name__)

POLL_S = 0.5
RECONNECT_S = 1.0


class CancelListener:
    """One subscription, re-made whenever Redis comes back."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cancel-listener", daemon=True)
        self._on_cancel: Callable[[UUID], None] = lambda _: None

    def start(self, on_cancel: Callable[[UUID], None]) -> None:
        """Begin to listen; `on_cancel` gets every response that anybody cancels."""
        self._on_cancel = on_cancel
        self._thread.start()

    def stop(self) -> None:
        """Unsubscribe and end the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                logger.warning("cancel nudges not heard", extra={"error": str(error)})
                self._stopping.wait(RECONNECT_S)

    def _listen(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe(CANCEL_CHANNEL)
            while not self._stopping.is_set():
                message = subscription.get_message(timeout=POLL_S)
                if message is not None:
                    self._on_cancel(UUID(hex=message["data"].decode()))
