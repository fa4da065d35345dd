"""Wake-ups over a real broker: sent, lost without harm, and sent again after an outage."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection

from cli.embedded import EmbeddedValkey
from models.profile.weights import SCRIPTED_MODEL
from tests.integration.conftest import NO_REDIS
from tests.polling import PATIENCE_S
from worker.queue import TASK_NAME, WakeQueue, _Room, queue_name

_QUEUE = queue_name(SCRIPTED_MODEL)


@pytest.fixture
def wake_queue(redis_url: str) -> Iterator[WakeQueue]:
    opened = WakeQueue(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """Start a broker of the test's own, which the test may stop."""
    with EmbeddedValkey(tmp_path) as started:
        yield started


@pytest.fixture
def queue_at_broker(broker: EmbeddedValkey) -> Iterator[WakeQueue]:
    opened = WakeQueue(broker.url)
    yield opened
    opened.close()


def test_it_works(wake_queue: WakeQueue, client: redis.Redis) -> None:
    assert wake_queue.wake(SCRIPTED_MODEL)

    assert client.llen(_QUEUE) == 1


def test_a_wake_up_names_the_task_and_no_response(wake_queue: WakeQueue, redis_url: str) -> None:
    wake_queue.wake(SCRIPTED_MODEL)

    with Connection(redis_url) as connection:  # type: ignore[no-untyped-call]
        message = connection.SimpleQueue(_QUEUE).get_nowait()
    arguments, keywords, _ = message.payload
    assert message.headers["task"] == TASK_NAME
    assert (arguments, keywords) == ([], {})


def test_as_many_wake_ups_are_sent_as_there_is_work(
    wake_queue: WakeQueue, client: redis.Redis
) -> None:
    wake_queue.wake(SCRIPTED_MODEL, 3)

    assert client.llen(_QUEUE) == 3


def test_wake_ups_beyond_the_most_that_may_wait_are_not_sent(
    redis_url: str, client: redis.Redis
) -> None:
    with closing(WakeQueue(redis_url, max_waiting=3)) as wake_queue:
        for _ in range(5):
            assert wake_queue.wake(SCRIPTED_MODEL)

    assert client.llen(_QUEUE) == 3


def test_once_all_that_may_wait_were_sent_the_queue_is_looked_at_again(
    redis_url: str, client: redis.Redis
) -> None:
    """Workers have taken them meanwhile, long before what was known of the queue is too old."""
    with closing(WakeQueue(redis_url, max_waiting=2)) as wake_queue:
        for _ in range(2):
            wake_queue.wake(SCRIPTED_MODEL)
        client.delete(_QUEUE)

        for _ in range(2):
            wake_queue.wake(SCRIPTED_MODEL)

    assert client.llen(_QUEUE) == 2


def test_a_room_of_which_more_was_taken_than_there_was_is_looked_at_again() -> None:
    room = _Room(3, time.monotonic() + 60)

    room.use(2)
    assert room.is_known
    room.use(2)

    assert not room.is_known


def test_more_wake_ups_at_once_than_are_known_to_have_room_are_sent_as_far_as_there_is(
    redis_url: str, client: redis.Redis
) -> None:
    with closing(WakeQueue(redis_url, max_waiting=5)) as wake_queue:
        wake_queue.wake(SCRIPTED_MODEL, 4)
        client.ltrim(_QUEUE, 0, 1)

        wake_queue.wake(SCRIPTED_MODEL, 4)

    assert client.llen(_QUEUE) == 5


def test_the_queue_is_not_looked_at_for_each_wake_up(
    wake_queue: WakeQueue, client: redis.Redis
) -> None:
    before = _num_looks(client)
    for _ in range(10):
        wake_queue.wake(SCRIPTED_MODEL)

    assert _num_looks(client) - before == 1


def _num_looks(client: redis.Redis) -> int:
    """Return the number of times that the length of a list was asked for."""
    return int(client.info("commandstats").get("cmdstat_llen", {"calls": 0})["calls"])


def test_a_wake_up_without_a_broker_is_not_sent_and_harms_nobody() -> None:
    wake_queue = WakeQueue(NO_REDIS["redis_url"])

    assert wake_queue.wake(SCRIPTED_MODEL) is False

    wake_queue.close()


def test_a_wake_up_to_a_broker_that_went_away_is_not_sent_and_harms_nobody(
    broker: EmbeddedValkey, queue_at_broker: WakeQueue
) -> None:
    queue_at_broker.wake(SCRIPTED_MODEL)

    broker.stop()

    assert queue_at_broker.wake(SCRIPTED_MODEL) is False


def test_wake_ups_are_sent_again_once_the_broker_is_back(
    broker: EmbeddedValkey, queue_at_broker: WakeQueue
) -> None:
    queue_at_broker.wake(SCRIPTED_MODEL)
    broker.stop()
    assert not queue_at_broker.wake(SCRIPTED_MODEL)

    broker.start()

    assert queue_at_broker.wake(SCRIPTED_MODEL)
    with redis.Redis.from_url(broker.url) as client:
        assert client.llen(_QUEUE) == 2


def test_a_wake_up_survives_a_cut_connection(wake_queue: WakeQueue, client: redis.Redis) -> None:
    wake_queue.wake(SCRIPTED_MODEL)
    client.client_kill_filter(_type="normal", skipme=True)

    assert wake_queue.wake(SCRIPTED_MODEL)

    assert client.llen(_QUEUE) == 2


def test_a_wake_up_that_the_broker_has_no_memory_for_harms_nobody(
    broker: EmbeddedValkey, queue_at_broker: WakeQueue
) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", 1)

    assert queue_at_broker.wake(SCRIPTED_MODEL) is False


def test_a_broker_that_takes_connections_and_is_silent_costs_seconds_alone() -> None:
    with ThreadPoolExecutor() as threads, socket.create_server(("127.0.0.1", 0)) as silent:
        wake_queue = WakeQueue(f"redis://127.0.0.1:{silent.getsockname()[1]}")

        sent = threads.submit(wake_queue.wake, SCRIPTED_MODEL)

        assert sent.result(PATIENCE_S) is False
    wake_queue.close()
