"""Limits of a project, over four processes of the API and for the official clients."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest
import redis

from models.tables import DEFAULT_PROJECT
from tests.acceptance.clients.programs import HERE, run_program
from tests.acceptance.server import AntiphonServer, make_in
from tests.polling import eventually
from tests.slots import SLOTS_OF_MINUTE, age

LIMIT = 200
_WAIT_SLOTS = 16
"""Slots that are missing to a minute when a client asks."""
_BODY = {"input": "Hello.", "background": True}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AntiphonServer]:
    """Start a server with four processes, which limit the default project."""
    settings = {"engine": "scripted", "api_processes": "4"}
    started = make_in(tmp_path_factory.mktemp("limited") / "data", None, settings)
    started.start()
    with psycopg.connect(_address(started, "DATABASE_URL"), autocommit=True) as connection:
        limits = f'{{"requests_per_minute": {LIMIT}}}'
        connection.execute("UPDATE projects SET limits = %s", [limits])
    # Each process remembers for some seconds that there were none.
    eventually(lambda: all(_is_limited(started) for _ in range(40)))
    yield started
    started.stop()


@pytest.fixture
def windows(limited: AntiphonServer) -> Iterator[redis.Redis]:
    """Return a client of the server's Valkey, whose windows are empty."""
    with redis.Redis.from_url(_address(limited, "REDIS_URL")) as client:
        client.delete(f"antiphon:limits:{{{DEFAULT_PROJECT}}}")
        yield client


def _address(server: AntiphonServer, name: str) -> str:
    words = shlex.split((server.data_dir / "run" / "env").read_text())
    return dict(word.split("=", 1) for word in words)[name]


def _is_limited(server: AntiphonServer) -> bool:
    headers = httpx2.get(f"{server.url}/v1/models").headers
    return headers.get("x-ratelimit-limit-requests") == str(LIMIT)


def _post(server: AntiphonServer) -> httpx2.Response:
    return httpx2.post(f"{server.url}/v1/responses", json=_BODY)


@pytest.mark.parametrize("program", ["with_retries.py", "with_retries.mjs"])
def test_the_retries_of_official_clients_succeed(
    limited: AntiphonServer, windows: redis.Redis, program: str
) -> None:
    # Not used up before: the processes remember that for as long as it holds.
    _fill(limited, windows)

    result: dict[str, Any] = run_program(HERE / program, f"{limited.url}/v1")["retried"]

    assert limited.client().responses.retrieve(result["id"]).status
    assert result["seconds"] >= 1


@pytest.mark.nightly
@pytest.mark.usefixtures("windows")
def test_four_processes_let_in_as_many_as_the_limit_together(limited: AntiphonServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: _post(limited).status_code, range(2 * LIMIT)))

    assert statuses.count(200) == LIMIT
    assert statuses.count(429) == LIMIT


def _fill(server: AntiphonServer, windows: redis.Redis) -> None:
    """Use the limit up, some seconds less than a minute ago."""
    eventually(lambda: _post(server).status_code == 200)
    key = f"antiphon:limits:{{{DEFAULT_PROJECT}}}"
    slot = int(windows.hget(key, "rl") or 0)
    windows.hset(key, mapping={f"r{slot}": LIMIT, "r": LIMIT})
    age(windows, SLOTS_OF_MINUTE - _WAIT_SLOTS, DEFAULT_PROJECT)
