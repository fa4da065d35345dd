"""Sends what is due from the outbox of webhooks: at least once, in the maintenance process.

One event loop for all requests, so that a slow receiver holds a connection and no thread.
"""

import asyncio
import logging
import random
import threading
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from models.errors import UnavailableError
from models.settings import Settings
from models.store.store import Store
from models.store.webhooks.deliveries import TakenDelivery
from models.webhooks.message import ended_event, sign, webhook_id
from models.webhooks.safe_http import Destinations, OutboundClient, OutboundError, UrlRefusedError

logger = logging.getLogger(__name__)

POLL_S = 0.25
"""How long the outbox is left alone when nothing was due."""
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 4 * 3600.0
GONE = 410
_STOP_S = 2.0
"""How long requests that are under way may take when the process is to stop."""


class Deliverer:
    """Takes, sends and settles until told to stop."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None
        self._store = Store.open(settings.database_url, pool_size=4)
        self._client = OutboundClient(Destinations(settings.webhook_networks))
        self._running: dict[UUID, asyncio.Task[None]] = {}

    def run(self, stopping: threading.Event) -> None:
        """Deliver until `stopping` is set."""
        asyncio.run(self._run(stopping))

    def close(self) -> None:
        """Close every connection."""
        self._store.close()

    async def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                taken = await asyncio.to_thread(self._store.deliveries.take, busy=self._busy())
            except UnavailableError:
                logger.warning("webhooks wait: the database is out of reach")
                taken = []
            self._start(taken)
            await self._pause(idle=not taken)
        if under_way := self._busy_tasks():
            await asyncio.wait(under_way, timeout=_STOP_S)

    def _start(self, taken: Iterable[TakenDelivery]) -> None:
        batches: dict[UUID, list[TakenDelivery]] = defaultdict(list)
        for each in taken:
            batches[each.endpoint_id].append(each)
        for endpoint_id, batch in batches.items():
            self._running[endpoint_id] = asyncio.create_task(self._deliver_all(batch))

    async def _pause(self, *, idle: bool) -> None:
        """Until an endpoint is free for more, or it is time to look again."""
        tasks = self._busy_tasks()
        if tasks:
            await asyncio.wait(tasks, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
        elif idle:
            await asyncio.sleep(POLL_S)

    def _busy(self) -> list[UUID]:
        return [endpoint_id for endpoint_id, task in self._running.items() if not task.done()]

    def _busy_tasks(self) -> list[asyncio.Task[None]]:
        self._running = {key: task for key, task in self._running.items() if not task.done()}
        return list(self._running.values())

    async def _deliver_all(self, batch: list[TakenDelivery]) -> None:
        await asyncio.gather(*map(self._deliver, batch))

    async def _deliver(self, taken: TakenDelivery) -> None:
        status_code, error = await self._send(taken)
        try:
            await asyncio.to_thread(self._settle, taken, status_code, error)
        except UnavailableError:
            # It is taken again once its lease is over: sent twice rather than never.
            logger.warning("webhook not settled", extra=_about(taken))

    async def _send(self, taken: TakenDelivery) -> tuple[int | None, str]:
        """The status of the answer, if there was one, and what was wrong with it."""
        event = ended_event(taken.response_id, taken.event_type, taken.occurred_at)
        secrets = [each for each in (taken.signing_secret, taken.old_secret) if each]
        message = sign(event, webhook_id(taken.response_id, taken.endpoint_id), secrets)
        try:
            status = await self._client.post(taken.url, body=message.body, headers=message.headers)
        except UrlRefusedError as error:
            return None, f"not sent: {error}"
        except OutboundError as error:
            return None, str(error)
        return status, "" if 200 <= status < 300 else f"answered {status}"

    def _settle(self, taken: TakenDelivery, status_code: int | None, error: str) -> None:
        deliveries = self._store.deliveries
        logger.info("webhook tried", extra={**_about(taken), "result": error or "accepted"})
        if status_code is not None and not error:
            deliveries.delivered(taken, status_code)
        elif status_code == GONE:
            deliveries.gone(taken, status_code=status_code, error=error)
        else:
            delay_s = retry_delay_s(taken.num_attempts)
            deliveries.failed(taken, status_code=status_code, error=error, delay_s=delay_s)


def retry_delay_s(num_attempts: int) -> float:
    """How long a delivery that has failed so often is left alone, with jitter."""
    longest = min(FIRST_DELAY_S * 3.0 ** min(num_attempts - 1, 20), LONGEST_DELAY_S)
    return longest * random.uniform(0.8, 1.2)


def _about(taken: TakenDelivery) -> dict[str, object]:
    return {
        "response_id": taken.response_id.hex,
        "endpoint_id": taken.endpoint_id.hex,
        "attempt": taken.num_attempts,
    }
