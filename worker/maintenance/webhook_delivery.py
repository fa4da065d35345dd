"""Delivery of webhooks from the outbox, at least once, in the maintenance process.

One event loop serves all requests, so that a slow receiver occupies a connection but no thread.
"""

import asyncio
import logging
import random
import threading
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urlsplit
from uuid import UUID

from models.fetching.checked_backend import OutboundError
from models.fetching.destinations import Destinations, UrlRefusedError
from models.fetching.outbound_client import OutboundClient
from models.metrics.recorder import RECORDER
from models.metrics.table import WEBHOOK_DELIVERIES
from models.outages import OUTAGES, OutageLog
from models.settings import Settings
from models.store.store import Store
from models.store.webhooks.deliveries import TakenDelivery
from models.tracing.spans import NO_SPAN, Attributes, Span
from models.tracing.tracer import TRACER
from models.webhooks.message import ended_event, sign, webhook_id
from worker.maintenance.pace import Pace

logger = logging.getLogger(__name__)

POLL_S = 0.25
"""Seconds between two polls of the outbox when nothing was due."""
FIRST_DELAY_S = 5.0
"""Seconds before the first retry."""
LONGEST_DELAY_S = 4 * 3600.0
"""Longest delay between two attempts, in seconds, before jitter."""
GONE = 410
"""HTTP status with which a receiver asks for no more deliveries."""
_STOP_S = 2.0
"""Seconds that requests in flight may still take when the process stops."""


class Deliverer:
    """Loop that claims due deliveries, sends them and records the results."""

    def __init__(self, settings: Settings, *, poll_s: float = POLL_S) -> None:
        assert settings.database_url is not None
        self._store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=4,
            secret_file=settings.secret_file,
            content_keys_file=settings.content_keys_file,
        )
        self._client = OutboundClient(Destinations(settings.webhook_networks))
        self._pace = Pace(settings.webhook_rate)
        self._pace_keys: dict[UUID, tuple[str, str]] = {}
        """Project and host of each endpoint that was delivered to since its pace last paused."""
        self._poll_s = poll_s
        self._running: dict[UUID, asyncio.Task[None]] = {}

    def run(self, stopping: threading.Event) -> None:
        """Deliver webhooks until `stopping` is set."""
        asyncio.run(self._run(stopping))

    def close(self) -> None:
        """Close every connection."""
        self._store.close()

    async def _run(self, stopping: threading.Event) -> None:
        outages = OutageLog(logger, "webhooks not sent")
        while not stopping.is_set():
            try:
                due = await asyncio.to_thread(
                    self._store.deliveries.take,
                    busy=self._busy_endpoints() | self._paused_endpoints(),
                )
            except OUTAGES as error:
                await asyncio.sleep(outages.failed(error))
                continue
            outages.succeeded()
            self._start(due)
            await self._pause(is_idle=not due)
        if in_flight := self._busy_tasks():
            await asyncio.wait(in_flight, timeout=_STOP_S)

    def _start(self, due: Iterable[TakenDelivery]) -> None:
        batches: dict[UUID, list[TakenDelivery]] = defaultdict(list)
        for delivery in due:
            batches[delivery.endpoint_id].append(delivery)
        for endpoint_id, batch in batches.items():
            # Endpoints of one project at one host share their pace: the host is one receiver.
            key = (batch[0].project_id, urlsplit(batch[0].url).netloc)
            self._pace_keys[endpoint_id] = key
            self._pace.charge(key, len(batch))
            self._running[endpoint_id] = asyncio.create_task(self._deliver_all(batch))

    async def _pause(self, *, is_idle: bool) -> None:
        """Wait until an endpoint is free again or the next poll of the outbox is due."""
        tasks = self._busy_tasks()
        if tasks:
            await asyncio.wait(tasks, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        elif is_idle:
            await asyncio.sleep(self._poll_s)

    def _busy_endpoints(self) -> set[UUID]:
        return {endpoint_id for endpoint_id, task in self._running.items() if not task.done()}

    def _paused_endpoints(self) -> set[UUID]:
        paused = self._pace.paused()
        self._pace_keys = {id_: key for id_, key in self._pace_keys.items() if key in paused}
        return set(self._pace_keys)

    def _busy_tasks(self) -> list[asyncio.Task[None]]:
        self._running = {key: task for key, task in self._running.items() if not task.done()}
        return list(self._running.values())

    async def _deliver_all(self, batch: list[TakenDelivery]) -> None:
        await asyncio.gather(*map(self._deliver, batch))

    async def _deliver(self, delivery: TakenDelivery) -> None:
        span = _start_span(delivery)
        status_code, error = await self._send(delivery)
        if status_code is not None:
            span.set({"http.response.status_code": status_code})
        if error:
            span.fail(str(status_code or "not_sent"))
        span.end()
        try:
            await asyncio.to_thread(self._record_result, delivery, status_code, error)
        except OUTAGES:
            # It is claimed again once its lease has expired: sent twice rather than never.
            logger.warning("webhook not settled", extra=_log_fields(delivery))

    async def _send(self, delivery: TakenDelivery) -> tuple[int | None, str]:
        """Return the HTTP status, None without a response, and the error, empty on success."""
        if not delivery.signing_secret:
            return None, "not sent: its signing secret cannot be read; rotate it"
        event = ended_event(delivery.response_id, delivery.event_type, delivery.occurred_at)
        secrets = [secret for secret in (delivery.signing_secret, delivery.old_secret) if secret]
        message = sign(event, webhook_id(delivery.response_id, delivery.endpoint_id), secrets)
        try:
            status = await self._client.post(
                delivery.url,
                body=message.body,
                headers=message.headers,
                owner=str(delivery.endpoint_id),
            )
        except UrlRefusedError as error:
            return None, f"not sent: {error}"
        except OutboundError as error:
            return None, str(error)
        return status, "" if 200 <= status < 300 else f"answered {status}"

    def _record_result(self, delivery: TakenDelivery, status_code: int | None, error: str) -> None:
        deliveries = self._store.deliveries
        logger.info("webhook tried", extra={**_log_fields(delivery), "result": error or "accepted"})
        if status_code is not None and not error:
            deliveries.mark_delivered(delivery, status_code)
            result = "delivered"
        elif status_code == GONE:
            deliveries.mark_gone(delivery, status_code=status_code, error=error)
            result = "gone"
        else:
            delay_s = retry_delay_s(delivery.num_attempts)
            deliveries.mark_failed(delivery, status_code=status_code, error=error, delay_s=delay_s)
            result = "failed"
        RECORDER.count(WEBHOOK_DELIVERIES, result)


def _start_span(delivery: TakenDelivery) -> Span:
    if delivery.traceparent is None:
        return NO_SPAN
    attributes: Attributes = {
        "http.request.method": "POST",
        "antiphon.attempt": delivery.num_attempts,
    }
    return TRACER.start(
        "webhook", parent=delivery.traceparent, kind="client", attributes=attributes
    )


def retry_delay_s(num_attempts: int) -> float:
    """Return the delay in seconds before the next attempt after `num_attempts` failed ones.

    Exponential backoff by a factor of three, capped, with a jitter of ±20 %.
    """
    delay_s = min(FIRST_DELAY_S * 3.0 ** min(num_attempts - 1, 20), LONGEST_DELAY_S)
    return delay_s * random.uniform(0.8, 1.2)


def _log_fields(delivery: TakenDelivery) -> dict[str, object]:
    return {
        "response_id": delivery.response_id.hex,
        "endpoint_id": delivery.endpoint_id.hex,
        "attempt": delivery.num_attempts,
    }
