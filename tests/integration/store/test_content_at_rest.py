"""Content of rows with content keys: in no row in the clear, and as it was for whoever reads it."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from models.errors import ContentDamagedError, ContentLockedError
from models.ids import new_id
from models.responses.checkpoint import Checkpoint
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.store.content.codec import ContentCodec
from models.store.conversations import ConversationRecord
from models.store.idempotency_keys import RequestKey
from models.store.item_pages import PageQuery
from models.store.items import AmbiguousItemError
from models.store.listing import ListFilter
from models.store.store import Store
from tests.content_keys import CONTENT_KEY, write_content_keys
from tests.factories import input_message, output_message
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.traces import rows_that_mention

CANARY = "canary-3f9a"
NEXT_KEY = base64.b64encode(b"n" * 32).decode()
_EVENTS = [b'{"type":"response.created"}', b'{"type":"response.completed","a":"canary-3f9a"}']

OpenStore = Callable[[Path | None], Store]


@pytest.fixture
def content_keys_file(tmp_path: Path) -> Path:
    return write_content_keys(tmp_path)


@pytest.fixture
def open_store(app_url: str, maintenance_url: str) -> Iterator[OpenStore]:
    with ExitStack() as stack:

        def opened(content_keys_file: Path | None) -> Store:
            store = Store.open(
                app_url,
                maintenance_url=maintenance_url,
                pool_size=2,
                content_keys_file=content_keys_file,
            )
            stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(open_store: OpenStore, content_keys_file: Path) -> Store:
    return open_store(content_keys_file)


@pytest.fixture
def desk(store: Store, sql: RunSql) -> Desk:
    return Desk(store, sql)


def finished(desk: Desk, **changes: Any) -> ResponseRecord:
    """Run a response all of whose content mentions the canary."""
    fields = {"parameters": {"instructions": CANARY}, "metadata": {CANARY: CANARY}}
    claimed = desk.running(**{"text": CANARY, **fields, **changes})
    output = [output_message(claimed.id, CANARY)]
    error = {"code": "server_error", "message": CANARY}
    assert desk.finish(claimed, output=output, events=_EVENTS, error=error)
    return claimed


def is_guessed(sql: RunSql, name: str, value: str) -> bool:
    """Return True if a guess of a pair of metadata is confirmed by its index."""
    query = "SELECT 1 FROM response_metadata WHERE pair = metadata_pair(%s, %s)"
    return bool(sql(query, name, value))


def test_it_works(desk: Desk, sql: RunSql) -> None:
    claimed = finished(desk)

    assert rows_that_mention(sql, CANARY) == []
    assert not is_guessed(sql, CANARY, CANARY)
    found = desk.store.responses.get("default", claimed.id)
    assert found is not None
    assert found.parameters == {"instructions": CANARY}
    assert found.metadata == {CANARY: CANARY}
    assert found.error == {"code": "server_error", "message": CANARY}
    assert found.output == [output_message(claimed.id, CANARY)]
    assert found.content_key is not None
    assert found.content_key == claimed.content_key
    assert desk.store.responses.archived_events("default", claimed.id) == _EVENTS
    assert desk.store.items.of_chain("default", claimed.id) == [
        input_message(claimed.id, CANARY),
        output_message(claimed.id, CANARY),
    ]


def test_without_a_file_every_byte_is_as_before(open_store: OpenStore, sql: RunSql) -> None:
    claimed = finished(Desk(open_store(None), sql))

    assert claimed.content_key is None
    assert sql("SELECT parameters::text, metadata::text FROM responses") == [
        ('{"instructions":"canary-3f9a"}', '{"canary-3f9a":"canary-3f9a"}')
    ]
    assert {"items", "responses"} < {table for table, _ in rows_that_mention(sql, CANARY)}
    assert sql("SELECT data_key FROM projects") == [(None,)]


def test_an_empty_file_changes_nothing_until_it_has_a_key(
    open_store: OpenStore, content_keys_file: Path, sql: RunSql
) -> None:
    content_keys_file.write_text("# a key comes here\n")
    running = open_store(content_keys_file)
    before = finished(Desk(running, sql))
    content_keys_file.write_text(f"{CONTENT_KEY}\n")
    other = open_store(content_keys_file)
    encrypted = finished(Desk(other, sql))

    assert (before.content_key, encrypted.content_key is None) == (None, False)
    for store in (running, other):
        for claimed in (before, encrypted):
            found = store.responses.get("default", claimed.id)
            assert found is not None
            assert found.metadata == {CANARY: CANARY}


def test_items_are_found_by_their_ids_and_read_in_pages(desk: Desk) -> None:
    claimed = finished(desk)
    [message] = desk.store.items.of_chain("default", claimed.id)[:1]
    pages, query = desk.store.items.input_pages, PageQuery(limit=5)

    assert desk.store.items.by_id("default", [message["id"]]) == {message["id"]: message}
    assert pages.find("default", claimed.id, message["id"]) == message
    page = pages.read("default", claimed.id, query)
    assert page is not None
    assert page.items == [message]


def test_lists_are_filtered_by_metadata_also_of_rows_in_the_clear(
    open_store: OpenStore, desk: Desk, sql: RunSql
) -> None:
    clear = finished(Desk(open_store(None), sql), metadata={"a": "1", "b": "2"})
    encrypted = finished(desk, metadata={"a": "1", "c": "3"})

    def listed(**metadata: str) -> list[UUID]:
        found = desk.store.lists.read_page("default", ListFilter(metadata=metadata))
        return [record.id for record in found]

    assert listed(a="1") == [encrypted.id, clear.id]
    assert listed(a="1", c="3") == [encrypted.id]
    assert listed(b="2") == [clear.id]
    assert listed(a="2") == listed(c="1") == []


def test_checkpoints_are_encrypted(desk: Desk, sql: RunSql) -> None:
    claimed = desk.running()
    tokens = tuple(GeneratedToken(0, token_id) for token_id in b"canary")
    checkpoint = Checkpoint(next_sequence_number=7, tokens=tokens)
    desk.store.checkpoints.write([replace(claimed, checkpoint=checkpoint)])
    [[written]] = sql("SELECT checkpoint FROM responses")
    assert checkpoint.to_bytes()[4:] not in written

    taken = desk.store.claims.take_over(claimed)
    assert taken is not None
    assert taken.checkpoint == checkpoint
    desk.store.claims.hand_back([taken])
    [[written]] = sql("SELECT checkpoint FROM responses")
    assert checkpoint.to_bytes()[4:] not in written
    assert desk.claim().checkpoint == checkpoint


def conversation(store: Store, *items: dict[str, Any]) -> UUID:
    new = ConversationRecord(
        id=new_id(),
        project_id="default",
        metadata={CANARY: CANARY},
        created_at=datetime.now(UTC),
    )
    store.conversations.create(new, list(items))
    return new.id


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text, **more}


def test_conversations_are_encrypted_with_the_turns_that_they_get(desk: Desk, sql: RunSql) -> None:
    store, first = desk.store, said(CANARY, id="first")
    conversation_id = conversation(store, first)
    claimed = finished(desk, conversation_id=conversation_id)
    added = said(CANARY, id="added")
    assert store.conversations.add_items("default", conversation_id, [added])

    turn = [input_message(claimed.id, CANARY), output_message(claimed.id, CANARY)]
    assert rows_that_mention(sql, CANARY) == []
    assert store.conversations.items("default", conversation_id) == [first, *turn, added]
    found = store.conversations.get("default", conversation_id)
    assert found is not None
    assert found.metadata == {CANARY: CANARY}
    updated = store.conversations.update("default", conversation_id, {"b": CANARY})
    assert updated is not None
    assert updated.metadata == {"b": CANARY}
    assert rows_that_mention(sql, CANARY) == []
    page = store.conversations.pages.read("default", conversation_id, PageQuery(limit=9))
    assert page is not None
    assert page.items == [first, *turn, added]
    # Of the response, which has it under a key of its own, nothing is left.
    store.responses.delete("default", claimed.id)
    by_id = {item["id"]: item for item in turn}
    assert store.items.by_id("default", list(by_id)) == by_id


def test_an_id_that_a_client_gives_twice_means_one_item_if_both_are_equal(
    open_store: OpenStore, desk: Desk, sql: RunSql
) -> None:
    same, other = said("Hello.", id="mine"), said("Bye.", id="mine")
    before = open_store(None)
    conversation(desk.store, same)
    conversation(desk.store, same)

    assert desk.store.items.by_id("default", ["mine"]) == {"mine": same}
    conversation(before, same)
    assert desk.store.items.by_id("default", ["mine"]) == {"mine": same}
    conversation(before, said("Hi.", id="yours"))
    conversation(desk.store, said("Hey.", id="yours"))
    conversation(desk.store, other)
    for ambiguous in ("mine", "yours"):
        with pytest.raises(AmbiguousItemError):
            desk.store.items.by_id("default", [ambiguous])


@pytest.mark.parametrize("is_encrypted_before", [False, True])
def test_a_request_is_recognised_by_its_keyed_digest(
    open_store: OpenStore, desk: Desk, sql: RunSql, is_encrypted_before: bool
) -> None:
    key = RequestKey(key="k", digest=b"d" * 32)
    writer = desk.store if is_encrypted_before else open_store(None)
    new = finished(Desk(writer, sql))
    writer.responses.create(replace(new, id=new_id()), [], key)

    [[digest]] = sql("SELECT digest FROM idempotency_keys")
    assert (digest == key.digest) is not is_encrypted_before
    used = desk.store.idempotency_keys.find("default", key)
    other = desk.store.idempotency_keys.find("default", replace(key, digest=b"e" * 32))
    assert used is not None
    assert other is not None
    assert (used.is_same, other.is_same) == (True, False)


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE items i SET body = j.body FROM items j WHERE j.direction = 'input'"
        " AND i.direction = 'output'",
        "UPDATE items i SET body = j.body FROM items j WHERE j.response_id <> i.response_id"
        " AND j.direction = i.direction",
        "UPDATE event_archives a SET data = b.data FROM event_archives b"
        " WHERE b.response_id <> a.response_id",
        "UPDATE responses a SET parameters = b.parameters FROM responses b WHERE b.id <> a.id",
        "UPDATE responses SET parameters = error",
        "UPDATE responses SET metadata = json_build_object('enc', metadata -> 'enc')",
        "UPDATE items SET body = json_build_object('id', 'other', 'enc', body -> 'enc')",
    ],
)
def test_what_was_moved_is_not_read(desk: Desk, sql: RunSql, move: str) -> None:
    claimed = finished(desk)
    finished(desk)

    sql(move)

    def read() -> None:
        desk.store.responses.get("default", claimed.id)
        desk.store.items.of_chain("default", claimed.id)
        desk.store.responses.archived_events("default", claimed.id)

    with pytest.raises(ContentDamagedError):
        read()


def test_content_without_its_key_is_locked_and_not_lost(
    open_store: OpenStore, desk: Desk, sql: RunSql
) -> None:
    claimed, queued = finished(desk), desk.create()
    without = open_store(None)

    with pytest.raises(ContentLockedError):
        without.responses.get("default", claimed.id)
    with pytest.raises(ContentLockedError):
        without.responses.archived_events("default", claimed.id)
    with pytest.raises(ContentLockedError):
        without.items.of_chain("default", claimed.id)
    with pytest.raises(ContentLockedError):
        Desk(without, sql).claim()
    assert desk.status(queued) is ResponseStatus.IN_PROGRESS


def test_a_response_that_cannot_be_read_does_not_keep_others_from_being_given_up(
    open_store: OpenStore, desk: Desk, sql: RunSql
) -> None:
    without = open_store(None)
    locked, other = desk.create(), Desk(without, sql).create()
    sql("UPDATE responses SET status = 'in_progress', num_crashes = 3, worker_id = %s", new_id())

    assert [record.id for record in without.reaper.poisonous()] == [other.id]
    assert {record.id for record in desk.store.reaper.poisonous()} == {locked.id, other.id}


def test_keys_are_rotated_under_running_stores(
    open_store: OpenStore, desk: Desk, content_keys_file: Path, sql: RunSql
) -> None:
    claimed = finished(desk)
    [[body]] = sql("SELECT body::text FROM items WHERE direction = 'input'")
    content_keys_file.write_text(f"{NEXT_KEY}\n{CONTENT_KEY}\n")

    assert open_store(content_keys_file).data_keys.rotate() == 1

    assert open_store(content_keys_file).data_keys.rotate() == 0
    content_keys_file.write_text(f"{NEXT_KEY}\n")
    for store in (desk.store, open_store(content_keys_file)):
        found = store.responses.get("default", claimed.id)
        assert found is not None
        assert found.metadata == {CANARY: CANARY}
    # No content was written.
    assert sql("SELECT body::text FROM items WHERE direction = 'input'") == [(body,)]


def test_the_content_of_a_removed_project_is_lost_with_its_key(
    open_store: OpenStore, desk: Desk, content_keys_file: Path, sql: RunSql
) -> None:
    desk.add_project("other")
    claimed = finished(desk, project_id="other")
    assert desk.store.responses.get("other", claimed.id) is not None

    desk.store.administration.begin_deletion("other")
    desk.store.removals.finish("other")

    assert sql("SELECT data_key FROM projects WHERE project_id = 'other'") == [(None,)]
    with pytest.raises(ContentLockedError):
        open_store(content_keys_file).responses.get("other", claimed.id)


def test_old_rows_are_encrypted_once_their_responses_have_ended(
    open_store: OpenStore, desk: Desk, sql: RunSql
) -> None:
    before = Desk(open_store(None), sql)
    first = said(CANARY, id="first")
    conversation_id = conversation(before.store, first)
    ended = finished(before, conversation_id=conversation_id)
    turn = before.store.items.of_chain("default", ended.id)
    finished(desk)
    running = before.create(CANARY)

    assert is_guessed(sql, CANARY, CANARY)
    assert list(desk.store.old_content.encrypt()) == ["default", "default"]

    assert list(desk.store.old_content.encrypt()) == []
    assert not is_guessed(sql, CANARY, CANARY)
    found_in = rows_that_mention(sql, CANARY)
    assert found_in
    assert all(str(running.id) in row for _, row in found_in)
    found = desk.store.responses.get("default", ended.id)
    assert found is not None
    assert found.output == turn[1:]
    assert (found.parameters, found.metadata) == ({"instructions": CANARY}, {CANARY: CANARY})
    assert found.error == {"code": "server_error", "message": CANARY}
    assert desk.store.responses.archived_events("default", ended.id) == _EVENTS
    assert desk.store.conversations.items("default", conversation_id) == [first, *turn]
    listed = desk.store.lists.read_page("default", ListFilter(metadata={CANARY: CANARY}))
    assert len(listed) == 2
    assert desk.claim().id == running.id


def test_bodies_name_what_statements_look_for_and_nothing_else(
    desk: Desk, sql: RunSql, store: Store
) -> None:
    claimed = finished(desk)
    conversation(store, said("Hello.", id="mine"))

    bodies = [body for [body] in sql("SELECT body FROM items")]
    [[given]] = sql("SELECT body FROM conversation_items")

    assert [set(body) for body in bodies] == [{"id", "enc"}] * 2
    assert {body["id"] for body in bodies} == {
        input_message(claimed.id)["id"],
        output_message(claimed.id)["id"],
    }
    assert set(given) == {"id", "eq", "enc"}
    assert ContentCodec(store.data_keys).encrypts
