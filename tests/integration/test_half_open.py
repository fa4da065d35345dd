"""Servers that stop answering with all connections open: every wait for them times out."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from models.errors import UnavailableError
from models.store.idempotency_keys import RequestKey
from models.store.store import Store
from models.streams.connection import connect
from models.streams.event_log import Append, AppendResult, EventLog, LoggedEvent
from tests.factories import stored_response
from tests.integration.proxy import Proxy


@pytest.fixture
def database(database_url: str) -> Iterator[tuple[Proxy, str]]:
    parts = urlsplit(database_url)
    with Proxy((parts.hostname or "", parts.port or 0)) as proxy:
        url = database_url.replace(f":{parts.port}/", f":{proxy.port}/")
        yield proxy, url.replace("postgresql://", "postgresql+psycopg://")


def test_a_silent_database_counts_as_out_of_reach_and_is_used_again_when_it_speaks(
    database: tuple[Proxy, str],
) -> None:
    proxy, url = database
    store = Store.open(url, limit_s=0.3)
    try:
        assert store.reaper.num_queued() == {}
        proxy.flows.clear()
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            store.reaper.num_queued()
        assert time.monotonic() - began < 5

        proxy.flows.set()
        assert store.reaper.num_queued() == {}
    finally:
        store.close()


def test_a_transaction_whose_line_is_cut_fails_as_one(database: tuple[Proxy, str]) -> None:
    proxy, url = database
    store = Store.open(url)
    new = stored_response()
    try:
        assert store.reaper.num_queued() == {}
        proxy.cut()
        with pytest.raises(UnavailableError):
            store.responses.create(new, [], RequestKey(key="one", digest=b"one"))
        assert (
            store.idempotency_keys.find(new.project_id, RequestKey(key="one", digest=b"")) is None
        )
    finally:
        store.close()


def test_a_silent_redis_costs_a_writer_one_timeout_in_a_while(redis_url: str) -> None:
    parts = urlsplit(redis_url)
    response = stored_response()
    append = Append(
        response_id=response.id,
        attempt=1,
        first_sequence_number=2,
        events=[LoggedEvent(2, b'{"type":"some"}')],
    )
    with Proxy((parts.hostname or "", parts.port or 0)) as proxy:
        url = redis_url.replace(f":{parts.port}", f":{proxy.port}")
        log = EventLog(connect(url, timeout_s=0.2))
        assert log.append([append]) == [AppendResult.OK]
        proxy.flows.clear()
        began = time.monotonic()

        results = [log.append([append]) for _ in range(50)]

        assert results == [[AppendResult.UNREACHABLE]] * 50
        assert time.monotonic() - began < 5
