"""The queue of hints: the one module of the worker that the API may import.

A hint says "there is work for this model" and nothing more. It names no response, so a lost or
doubled one does no harm: the worker claims the fairest queued rows until there is none.
"""

import hashlib
import logging
import time

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from models.streams.connection import connect

logger = logging.getLogger(__name__)

TASK_NAME = "responses.run"

MAX_WAITING = 32
"""Hints that may wait for one model: with so many, every worker is busy, and a busy worker goes on
to the next response without being told. To send one costs as much as the rest of a request."""

VISIBILITY_S = 60
"""After so long a hint that was delivered and not acknowledged is delivered again."""

_FULL_S = 0.05
"""How long a full queue is taken to stay so: less than its hints take."""

_ANSWER_S = 1
"""How long the broker may take to accept a hint: a client waits."""


def queue_name(model: str) -> str:
    """One queue for each model; hashed, since a model's id may hold any character."""
    return "antiphon." + hashlib.blake2b(model.encode(), digest_size=8).hexdigest()


def make_celery(redis_url: str) -> Celery:
    """The Celery app, without a result backend: results are rows."""
    app = Celery("antiphon", broker=redis_url)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # A hint is worth nothing once it was received: the row is the truth, and upkeep sends
        # hints again for rows that wait. Late acknowledgement would only deliver it twice.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
        # For ever: a worker without a broker still finds work by itself.
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 30,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # A worker that was killed took hints with it; nobody else may need them, but they must
            # not lie about for the hour that is the default.
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # A worker that was killed while it restored holds the lock for so many seconds.
            "unacked_mutex_expire": 10,
        },
    )
    return app


class WakeQueue:
    """Sends hints; a hint that cannot be sent is logged and forgotten."""

    def __init__(self, redis_url: str) -> None:
        self._app = make_celery(redis_url)
        # Whoever sends a hint has a client waiting, and upkeep sends what was not sent.
        self._app.conf.broker_transport_options |= {"max_retries": 0, "socket_timeout": _ANSWER_S}
        self._client = connect(redis_url, timeout_s=_ANSWER_S)
        self._full_until: dict[str, float] = {}

    def wake(self, model: str, count: int = 1) -> bool:
        """Say that there is work for a model; False if the broker is out of reach."""
        queue = queue_name(model)
        if time.monotonic() < self._full_until.get(queue, 0.0):
            return True
        try:
            missing = min(count, MAX_WAITING - int(self._client.llen(queue)))
            if missing <= 0:
                self._full_until[queue] = time.monotonic() + _FULL_S
            for _ in range(missing):
                self._app.send_task(TASK_NAME, queue=queue, ignore_result=True, retry=False)
        except (OperationalError, OSError, redis.RedisError) as error:
            logger.warning("hint not sent", extra={"model": model, "error": str(error)})
            return False
        return True

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
        self._client.close()
