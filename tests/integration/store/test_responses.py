from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from models.ids import new_id, response_wire_id
from models.outages import StatementError
from models.responses.status import ResponseStatus
from models.store.item_pages import PageQuery
from models.store.items import ChainBrokenError
from models.store.listing import ListFilter
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.factories import input_message, output_message, stored_response
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk


def test_it_works(store: Store) -> None:
    new = stored_response(metadata={"a": "b"}, parameters={"instructions": "Be brief."})

    store.responses.create(new, [input_message(new.id)])

    assert store.responses.get(DEFAULT_PROJECT, new.id) == new
    assert store.items.of_chain(DEFAULT_PROJECT, new.id) == [input_message(new.id)]
    assert store.items.input_of(DEFAULT_PROJECT, new.id) == [input_message(new.id)]


@pytest.fixture
def no_system_messages(sql: RunSql) -> Iterator[None]:
    """Make Postgres refuse an item."""
    sql("ALTER TABLE items ADD CONSTRAINT refused CHECK (body ->> 'role' <> 'system')")
    yield
    sql("ALTER TABLE items DROP CONSTRAINT refused")


@pytest.mark.usefixtures("no_system_messages")
def test_a_response_is_stored_with_its_items_or_not_at_all(store: Store, sql: RunSql) -> None:
    new = stored_response()
    refused = input_message(new.id, position=1) | {"role": "system"}

    with pytest.raises(StatementError):
        store.responses.create(new, [input_message(new.id), refused])

    assert sql("SELECT count(*) FROM responses") == [(0,)]


def test_a_foreign_project_sees_nothing_of_a_response(desk: Desk) -> None:
    theirs = desk.create()
    ours = desk.add_project("ours")
    store = desk.store

    assert store.responses.get(ours, theirs.id) is None
    assert store.lists.read_page(ours, ListFilter()) == []
    page = store.items.input_pages.read(ours, theirs.id, PageQuery(limit=9))
    assert page is not None
    assert page.items == []
    assert store.items.of_chain(ours, theirs.id) == []
    assert store.items.input_of(ours, theirs.id) == []
    assert store.responses.statuses([(ours, theirs.id)]) == {}


def test_a_foreign_project_changes_nothing_of_a_response(desk: Desk) -> None:
    theirs = desk.create()
    ours = desk.add_project("ours")

    assert desk.store.responses.delete(ours, theirs.id) is None
    assert desk.store.claims.request_cancel(ours, theirs.id) is None
    assert desk.store.responses.get(DEFAULT_PROJECT, theirs.id) == theirs


def test_a_foreign_project_does_not_get_the_archived_events(desk: Desk) -> None:
    desk.create()
    claimed = desk.claim()
    desk.finish(claimed, events=[b"{}"])

    assert desk.store.responses.archived_events(desk.add_project("ours"), claimed.id) is None
    assert desk.store.responses.archived_events(DEFAULT_PROJECT, claimed.id) == [b"{}"]


def test_a_response_that_is_not_stored_can_neither_be_read_nor_deleted(desk: Desk) -> None:
    unstored = desk.create(background=False, store=False, parameters={})

    assert desk.store.responses.get(DEFAULT_PROJECT, unstored.id) is None
    assert desk.store.lists.read_page(DEFAULT_PROJECT, ListFilter()) == []
    assert desk.store.responses.delete(DEFAULT_PROJECT, unstored.id) is None


def test_a_temporary_response_is_in_no_list_and_can_be_deleted(desk: Desk) -> None:
    temporary = desk.create(store=False, parameters={})

    assert desk.store.responses.get(DEFAULT_PROJECT, temporary.id) is None
    assert desk.store.lists.read_page(DEFAULT_PROJECT, ListFilter()) == []
    assert desk.store.responses.delete(DEFAULT_PROJECT, temporary.id) == "queued"


def test_a_deleted_response_leaves_no_row_in_any_table(desk: Desk, sql: RunSql) -> None:
    desk.create()
    claimed = desk.claim()
    desk.finish(claimed, output=[output_message(claimed.id)], events=[b"{}"])

    assert desk.store.responses.delete(DEFAULT_PROJECT, claimed.id) is ResponseStatus.COMPLETED

    for table in ("responses", "items", "event_archives"):
        assert sql(f"SELECT count(*) FROM {table}") == [(0,)]
    assert desk.store.responses.delete(DEFAULT_PROJECT, claimed.id) is None


def test_lists_are_newest_first_unless_asked_otherwise(desk: Desk) -> None:
    created = [desk.create() for _ in range(3)]
    read_page = desk.store.lists.read_page

    assert read_page(DEFAULT_PROJECT, ListFilter()) == created[::-1]
    assert read_page(DEFAULT_PROJECT, ListFilter(ascending=True)) == created


def test_lists_go_on_after_an_id_and_end_at_the_limit(desk: Desk) -> None:
    created = [desk.create() for _ in range(4)]
    read_page = desk.store.lists.read_page

    newest = read_page(DEFAULT_PROJECT, ListFilter(after=created[3].id, limit=2))
    oldest = read_page(DEFAULT_PROJECT, ListFilter(after=created[0].id, limit=2, ascending=True))

    assert newest == [created[2], created[1]]
    assert oldest == [created[1], created[2]]


def test_lists_can_be_narrowed_to_a_status_and_a_model(desk: Desk) -> None:
    queued = desk.create()
    other = desk.create(model="other")
    running = desk.running(model="scripted")
    read_page = desk.store.lists.read_page

    in_progress = read_page(DEFAULT_PROJECT, ListFilter(statuses=(ResponseStatus.IN_PROGRESS,)))

    assert running.id == queued.id
    assert [record.id for record in in_progress] == [running.id]
    assert read_page(DEFAULT_PROJECT, ListFilter(model="other")) == [other]


def test_a_chain_of_three_turns_is_read_oldest_first(desk: Desk) -> None:
    texts: list[str] = []
    previous = None
    for turn in ("one", "two", "three"):
        desk.create(turn, previous_response_id=previous)
        claimed = desk.claim()
        desk.finish(claimed, output=[output_message(claimed.id, f"answer to {turn}")])
        previous = claimed.id
        texts += [turn, f"answer to {turn}"]

    assert previous is not None
    items = desk.store.items.of_chain(DEFAULT_PROJECT, previous)

    assert [item["content"][0]["text"] for item in items] == texts


def test_a_chain_never_goes_on_in_another_project(desk: Desk) -> None:
    theirs = desk.create("theirs", project_id=desk.add_project("theirs"))
    ours = desk.create("ours", previous_response_id=theirs.id)

    with pytest.raises(ChainBrokenError, match=response_wire_id(theirs.id)):
        desk.store.items.of_chain(DEFAULT_PROJECT, ours.id)


def test_statuses_leave_out_what_does_not_exist(desk: Desk) -> None:
    queued = desk.create()
    keys = [(DEFAULT_PROJECT, queued.id), (DEFAULT_PROJECT, new_id())]

    assert desk.store.responses.statuses(keys) == {queued.id: ResponseStatus.QUEUED}


def test_statuses_of_several_projects_are_read(desk: Desk) -> None:
    made = [desk.create(), *(desk.create(project_id=desk.add_project(name)) for name in "ab")]
    keys = [(record.project_id, record.id) for record in made]

    assert set(desk.store.responses.statuses(keys)) == {record.id for record in made}


def test_moments_come_back_on_the_same_instant(desk: Desk) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    stored = desk.create(created_at=moment)

    found = desk.store.responses.get(DEFAULT_PROJECT, stored.id)

    assert found is not None
    assert found.created_at == moment


def test_the_keys_of_parameters_and_metadata_keep_their_order(desk: Desk) -> None:
    properties = {"name": {"type": "string"}, "age": {"type": "integer"}, "a": {}}
    chosen = {"type": "json_schema", "name": "x", "schema": {"properties": properties}}
    metadata = {"zeta": "1", "a": "2", "mid": "3"}

    desk.create(parameters={"text": {"format": chosen}}, metadata=metadata)
    claimed = desk.claim()

    assert list(claimed.parameters["text"]["format"]["schema"]["properties"]) == list(properties)
    assert list(claimed.metadata) == list(metadata)
