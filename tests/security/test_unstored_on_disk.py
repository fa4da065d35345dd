"""`store: false`: neither disk of Postgres nor that of Valkey has the content in the clear."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from flask.testing import FlaskClient

from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from models.encryption.response import ResponseCipher, new_content_key
from models.ids import new_id
from models.streams.unstored import UnstoredContent, UnstoredContents
from tests.integration.api.requests import create_and_wait, events, frames, parsed, text_of
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.traces import keys_that_mention
from tests.polling import eventually

Disks = Callable[[str], list[Path]]


@pytest.fixture
def asked() -> str:
    return f"question-{uuid4().hex}"


@pytest.fixture
def answered() -> str:
    return f"answer-{uuid4().hex}"


@pytest.fixture(autouse=True)
def slow_worker(make_worker: MakeWorker, answered: str) -> None:
    make_worker(script_text=answered, script_tokens=200, script_interval_ms=10)


def body(asked: str, **more: Any) -> dict[str, Any]:
    fields = {"input": asked, "instructions": asked, "metadata": {"a": asked}, "store": False}
    return fields | more


def files_that_mention(folder: Path, needle: str) -> list[Path]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths if needle.encode() in path.read_bytes()]


@pytest.fixture
def disks(
    sql: RunSql, client: redis.Redis, valkey: EmbeddedValkey, postgres: EmbeddedPostgres
) -> Disks:
    """Return a function that searches all files of Postgres and Valkey for a text."""

    def search(needle: str) -> list[Path]:
        sql("CHECKPOINT")
        client.waitaof(1, 0, 5000)
        return [
            *files_that_mention(postgres.data, needle),
            *files_that_mention(valkey.folder, needle),
        ]

    return search


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_left_on_the_disks(
    http: FlaskClient, disks: Disks, asked: str, answered: str, stream: bool
) -> None:
    answer = http.post("/v1/responses", json=body(asked, stream=stream))
    response = events(answer)[-1]["response"] if stream else parsed(answer)

    assert text_of(response) == answered
    assert disks(asked) == []
    # Events have a delta for each token.
    assert disks(answered) == []
    assert disks(answered[-8:]) == []


def test_nothing_is_in_the_clear_while_it_is_generated(
    http: FlaskClient, disks: Disks, client: redis.Redis, asked: str
) -> None:
    streamed = frames(http.post("/v1/responses", json=body(asked, stream=True)))
    next(frame for frame in streamed if b"output_text.delta" in frame)

    assert disks(asked) == []
    assert keys_that_mention(client, asked) == []
    assert keys_that_mention(client, "output_text") == []
    assert list(streamed)


def test_a_temporary_response_leaves_nothing_in_the_clear(
    http: FlaskClient, disks: Disks, asked: str, answered: str
) -> None:
    response = create_and_wait(http, **body(asked, background=True))

    assert text_of(response) == answered
    for needle in (asked, answered, answered[-8:]):
        assert disks(needle) == []


def test_what_is_in_valkey_of_a_temporary_response_cannot_be_read_without_postgres(
    http: FlaskClient, disks: Disks, sql: RunSql, valkey: EmbeddedValkey, asked: str
) -> None:
    response = create_and_wait(http, **body(asked, background=True))

    [[key]] = sql("SELECT content_key FROM responses")
    [in_postgres, *_] = disks(bytes(key).decode())
    assert not in_postgres.is_relative_to(valkey.folder)
    assert files_that_mention(valkey.folder, bytes(key).decode()) == []
    # Names of keys are not encrypted: the search finds what is there.
    assert files_that_mention(valkey.folder, response["id"].removeprefix("resp_"))


def test_the_search_finds_what_is_stored(http: FlaskClient, disks: Disks, asked: str) -> None:
    create_and_wait(http, **body(asked, store=True))

    assert disks(asked)


@pytest.mark.parametrize("is_read", [False, True])
def test_the_key_is_erased_once_the_client_has_the_answer_or_is_gone(
    http: FlaskClient, sql: RunSql, asked: str, is_read: bool
) -> None:
    answer = http.post("/v1/responses", json=body(asked, stream=True))
    streamed = frames(answer)
    next(streamed)
    [[key]] = sql("SELECT content_key FROM responses")
    assert len(key) >= 32

    if is_read:
        assert list(streamed)
    answer.close()

    eventually(lambda: sql("SELECT content_key FROM responses") == [(None,)])


def test_a_stored_response_has_no_key(http: FlaskClient, sql: RunSql, asked: str) -> None:
    create_and_wait(http, **body(asked, store=True))

    assert sql("SELECT content_key FROM responses") == [(None,)]


def test_content_without_its_key_is_lost(client: redis.Redis) -> None:
    cipher = ResponseCipher(new_id(), new_content_key())
    content = UnstoredContent(parameters={}, metadata={}, items=[{"type": "message"}])
    contents = UnstoredContents(client)
    contents.put(cipher, content)

    assert contents.get(cipher) == content
    assert contents.get(ResponseCipher(cipher.owner_id, None)) is None
    assert contents.get(ResponseCipher(cipher.owner_id, new_content_key())) is None
