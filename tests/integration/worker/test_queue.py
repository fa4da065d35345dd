"""Hints over a real broker: sent, lost without harm, and sent again when the broker is back."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from kombu import Connection

from cli.embedded import EmbeddedValkey
from models.profile.weights import SCRIPTED_MODEL
from tests.integration.conftest import NO_REDIS
from worker.queue import TASK_NAME, HintQueue, queue_name

_QUEUE = queue_name(SCRIPTED_MODEL)


@pytest.fixture
def hints(redis_url: str) -> Iterator[HintQueue]:
    opened = HintQueue(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A broker of the test's own, to be stopped at will."""
    with EmbeddedValkey(tmp_path) as started:
        yield started


@pytest.fixture
def hints_to_broker(broker: EmbeddedValkey) -> Iterator[HintQueue]:
    opened = HintQueue(broker.url)
    yield opened
    opened.close()


def test_it_works(hints: HintQueue, client: redis.Redis) -> None:
    assert hints.hint(SCRIPTED_MODEL)

    assert client.llen(_QUEUE) == 1


def test_a_hint_names_the_task_and_no_response(hints: HintQueue, redis_url: str) -> None:
    hints.hint(SCRIPTED_MODEL)

    with Connection(redis_url) as connection:
        message = connection.SimpleQueue(_QUEUE).get_nowait()
    arguments, keywords, _ = message.payload
    assert message.headers["task"] == TASK_NAME
    assert (arguments, keywords) == ([], {})


def test_as_many_hints_are_sent_as_there_is_work(hints: HintQueue, client: redis.Redis) -> None:
    hints.hint(SCRIPTED_MODEL, 3)

    assert client.llen(_QUEUE) == 3


def test_a_hint_without_a_broker_is_not_sent_and_harms_nobody() -> None:
    hints = HintQueue(NO_REDIS["redis_url"])

    assert hints.hint(SCRIPTED_MODEL) is False

    hints.close()


def test_a_hint_to_a_broker_that_went_away_is_not_sent_and_harms_nobody(
    broker: EmbeddedValkey, hints_to_broker: HintQueue
) -> None:
    hints_to_broker.hint(SCRIPTED_MODEL)

    broker.stop()

    assert hints_to_broker.hint(SCRIPTED_MODEL) is False


def test_hints_are_sent_again_once_the_broker_is_back(
    broker: EmbeddedValkey, hints_to_broker: HintQueue
) -> None:
    hints_to_broker.hint(SCRIPTED_MODEL)
    broker.stop()
    assert not hints_to_broker.hint(SCRIPTED_MODEL)

    broker.start()

    assert hints_to_broker.hint(SCRIPTED_MODEL)
    with redis.Redis.from_url(broker.url) as client:
        assert client.llen(_QUEUE) == 2


def test_a_hint_survives_a_cut_connection(hints: HintQueue, client: redis.Redis) -> None:
    hints.hint(SCRIPTED_MODEL)
    client.client_kill_filter(_type="normal", skipme=True)

    assert hints.hint(SCRIPTED_MODEL)

    assert client.llen(_QUEUE) == 2


def test_a_hint_that_the_broker_has_no_memory_for_harms_nobody(
    broker: EmbeddedValkey, hints_to_broker: HintQueue
) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", 1)

    assert hints_to_broker.hint(SCRIPTED_MODEL) is False


def test_a_broker_that_takes_connections_and_is_silent_costs_seconds_alone() -> None:
    with ThreadPoolExecutor() as threads, socket.create_server(("127.0.0.1", 0)) as silent:
        hints = HintQueue(f"redis://127.0.0.1:{silent.getsockname()[1]}")

        sent = threads.submit(hints.hint, SCRIPTED_MODEL)

        assert sent.result(timeout=5) is False
    hints.close()
