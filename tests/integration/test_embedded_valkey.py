import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.embedded import EmbeddedValkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "a folder")
    yield server
    server.stop()


def test_it_works(valkey: EmbeddedValkey) -> None:
    with valkey, redis.Redis.from_url(valkey.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_what_was_synced_is_there_after_a_kill_and_a_start_on_the_same_folder(
    valkey: EmbeddedValkey,
) -> None:
    valkey.start()
    assert valkey.process is not None
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", "42")
        client.waitaof(1, 0, 5000)
    os.kill(valkey.process.pid, signal.SIGKILL)
    valkey.process.wait()

    valkey.start()

    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("kept") == b"42"


def test_nobody_gets_in_without_the_password(valkey: EmbeddedValkey) -> None:
    with (
        valkey,
        redis.Redis(port=valkey.port, retry=None) as client,  # type: ignore[arg-type]
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_password_is_not_among_the_arguments_that_everybody_can_read(
    valkey: EmbeddedValkey,
) -> None:
    valkey.prepare()

    password = valkey.url.split("@")[0].rpartition(":")[2]
    assert password
    assert not any(password in argument for argument in valkey.program.argv)


def test_two_servers_run_side_by_side(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    with valkey, EmbeddedValkey(tmp_path / "other") as other:
        assert valkey.is_ready()
        assert other.is_ready()
        assert valkey.port != other.port
