"""The queue of wake-ups for workers: the only module of the worker that the API may import.

A wake-up says that a model has queued responses, and nothing more. It names no response, so a lost
or duplicate one does no harm: a woken worker claims queued rows in the fair order until none is
left.
"""

import hashlib
import logging
import time
from dataclasses import dataclass

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from models.streams.connection import connect

logger = logging.getLogger(__name__)

TASK_NAME = "responses.run"

MAX_WAITING = 32
"""Largest number of wake-ups waiting for one model.

With so many, every worker is busy, and a busy worker continues with the next response without a
wake-up. Sending one costs as much as the rest of a request.
"""

VISIBILITY_S = 60
"""Seconds after which a wake-up that was delivered but not acknowledged is delivered again."""

_ASSUMED_FULL_S = 0.05
"""Seconds for which a full queue is assumed to stay full: less than its wake-ups take to run."""
_ASSUMED_FREE_S = 1.0
"""Seconds for which the room that a queue had is assumed to be left, but for what was sent since.
Other senders use it too, so that there may be up to `MAX_WAITING` more of each."""

_BROKER_TIMEOUT_S = 1
"""Seconds that the broker may take to accept a wake-up: a client is waiting meanwhile."""


def queue_name(model: str) -> str:
    """Return the name of the model's queue.

    The model id is hashed, since it may contain any character.
    """
    return "antiphon." + hashlib.blake2b(model.encode(), digest_size=8).hexdigest()


def make_celery(redis_url: str) -> Celery:
    """Return the Celery app, without a result backend: results are stored in the database."""
    app = Celery("antiphon", broker=redis_url)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # A wake-up is of no use once it was received: the database is authoritative, and the
        # maintenance process repeats wake-ups for rows that are still queued. Late acknowledgement
        # would only deliver it twice.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        # No task is acknowledged late, so none is cancelled; without this, Celery warns.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
        # Retry for ever: a worker without a broker still finds queued responses by polling.
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 30,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # Wake-ups delivered to a worker that was killed stay unacknowledged; they may not be
            # needed, but must not be held back for the default of an hour.
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # Seconds that a worker killed during such a restore keeps holding the lock.
            "unacked_mutex_expire": 10,
        },
    )
    return app


@dataclass(slots=True)
class _Room:
    """Wake-ups that one queue takes for now, until it is looked at again."""

    num_left: int
    until: float

    @property
    def is_known(self) -> bool:
        """True if there is no need to look."""
        return time.monotonic() < self.until

    def use(self, num: int) -> None:
        """Take room for wake-ups; once there is none left, the queue is looked at again.

        Threads that take the last of it at the same time may take more than there is.
        """
        self.num_left -= num
        if num and self.num_left <= 0:
            self.until = 0.0


class WakeQueue:
    """Sender of wake-ups; a wake-up that cannot be sent is logged and dropped."""

    def __init__(self, redis_url: str, *, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._app = make_celery(redis_url)
        # No retries: a client is waiting, and the maintenance process repeats what was not sent.
        self._app.conf.broker_transport_options |= {
            "max_retries": 0,
            "socket_timeout": _BROKER_TIMEOUT_S,
        }
        self._client = connect(redis_url, timeout_s=_BROKER_TIMEOUT_S)
        self._rooms: dict[str, _Room] = {}

    def wake(self, model: str, count: int = 1) -> bool:
        """Send up to `count` wake-ups for a model; return False if the broker is unreachable.

        None are sent beyond `max_waiting` waiting ones, as far as this process knows.
        """
        queue = queue_name(model)
        try:
            room = self._find_room(queue, count)
            num_sent = max(0, min(count, room.num_left))
            room.use(num_sent)
            for _ in range(num_sent):
                self._app.send_task(TASK_NAME, queue=queue, ignore_result=True, retry=False)
        except (OperationalError, OSError, redis.RedisError) as error:
            self._rooms.pop(queue, None)
            logger.warning("wake-up not sent", extra={"model": model, "error": str(error)})
            return False
        return True

    def _find_room(self, queue: str, count: int) -> _Room:
        room = self._rooms.get(queue)
        if room is None or not room.is_known or 0 < room.num_left < count:
            num_left = max(0, self._max_waiting - int(self._client.llen(queue)))
            kept_s = _ASSUMED_FREE_S if num_left else _ASSUMED_FULL_S
            room = self._rooms[queue] = _Room(num_left, time.monotonic() + kept_s)
        return room

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
        self._client.close()
