"""Responses that are created at the same time: one statement writes them, and each as if alone."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from models.errors import UnavailableError
from models.ids import new_id
from models.limits.amounts import Reservation
from models.outages import StatementError
from models.responses.record import ResponseRecord
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.factories import input_message, stored_response
from tests.integration.conftest import RunSql
from tests.polling import eventually

_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
_BLOCKED_PIDS = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
_HARD = 'a \\u0000 \\ " \n \u2028 \x7f \U0001f600 \\x41 {} %s %(rows)s :rows'


@contextmanager
def created_together(
    store: Store, sql: RunSql, database_url: str, *news: ResponseRecord, text: str = "Hello."
) -> Iterator["list[Future[bool]]"]:
    """Create responses while the table is locked, the first one before the others.

    At the end of the context the table is unlocked.
    """
    shared = store.responses._creations
    shared._patience_s = 60
    store.responses.create(known := stored_response(), [])  # enters the flows
    with psycopg.connect(database_url) as holder, ThreadPoolExecutor(len(news)) as threads:
        holder.execute("LOCK TABLE responses IN EXCLUSIVE MODE")
        futures = []
        for number, new in enumerate(news):
            items = [input_message(new.id, text, position) for position in range(number % 3)]
            futures.append(threads.submit(store.responses.create, new, items))
            eventually(lambda: sql(_BLOCKED) == [(1,)])
            eventually(lambda number=number: _num_waiting(store) == number)  # type: ignore[misc]
        try:
            yield futures
        finally:
            holder.rollback()
    sql("DELETE FROM responses WHERE id = %s", known.id)


def _num_waiting(store: Store) -> int:
    queue = store.responses._creations._queues.get(DEFAULT_PROJECT)
    return len(queue.waiting) if queue else 0


def statements_of(sql: RunSql) -> int:
    """Return the number of statements that have written the responses."""
    return int(sql("SELECT count(DISTINCT xmin::text) FROM responses")[0][0])


def results(futures: "Sequence[Future[bool]]") -> list[object]:
    return [future.exception(30) or future.result() for future in futures]


def test_they_are_written_by_one_statement(store: Store, sql: RunSql, database_url: str) -> None:
    news = [stored_response(metadata={"number": str(number)}) for number in range(9)]

    with created_together(store, sql, database_url, *news, text=_HARD) as futures:
        pass

    assert results(futures) == [True] * 9
    assert statements_of(sql) == 2
    for number, new in enumerate(news):
        assert store.responses.get(DEFAULT_PROJECT, new.id) == new
        assert store.items.of_chain(DEFAULT_PROJECT, new.id) == [
            input_message(new.id, _HARD, position) for position in range(number % 3)
        ]


@pytest.fixture
def refusal(sql: RunSql) -> Iterator[None]:
    """Make Postgres refuse certain metadata."""
    sql("ALTER TABLE responses ADD CONSTRAINT refused CHECK (metadata ->> 'a' <> 'refused')")
    yield
    sql("ALTER TABLE responses DROP CONSTRAINT refused")


@pytest.mark.usefixtures("refusal")
@pytest.mark.parametrize("place", [1, 2, 3])
def test_one_that_postgres_refuses_is_refused_alone(
    store: Store, sql: RunSql, database_url: str, place: int
) -> None:
    news = [
        stored_response(metadata={"a": "refused" if number == place else "b"})
        for number in range(4)
    ]

    with created_together(store, sql, database_url, *news) as futures:
        pass

    found = results(futures)
    assert isinstance(found.pop(place), StatementError)
    assert found == [True] * 3
    stored = {row[0] for row in sql("SELECT id FROM responses")}
    assert stored == {new.id for new in news} - {news[place].id}


def test_a_lost_connection_is_an_outage_for_those_of_its_statement(
    store: Store, sql: RunSql, database_url: str
) -> None:
    news = [stored_response() for _ in range(4)]

    with created_together(store, sql, database_url, *news) as futures:
        [blocked] = sql(_BLOCKED_PIDS)
        sql("SELECT pg_terminate_backend(%s)", blocked[0])
        eventually(lambda: sql(_BLOCKED_PIDS) not in ([], [blocked]))  # that of the other three
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        found = results(futures)

    assert [type(each) for each in found] == [UnavailableError] * 4
    assert len({id(each) for each in found}) == 4
    assert sql("SELECT id FROM responses") == []
    assert store.responses.create(news[1], [], alone=True)


def every_field() -> dict[str, Any]:
    """Return values of the fields that a new response may have."""
    return {
        "background": False,
        "priority": 3,
        "end_user": -(1 << 63),
        "metadata": {"a": _HARD},
        "parameters": {"instructions": _HARD, "z": 1e300, "a": [{}]},
        "previous_response_id": new_id(),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "reservation": Reservation(slot=123, input_tokens=7, output_tokens=1 << 40),
        "created_at": datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC),
    }


def test_a_response_is_stored_alike_with_and_without_others(store: Store, sql: RunSql) -> None:
    first = stored_response(**every_field())
    second = replace(first, id=new_id())
    for new in (first, second):  # the first one enters the flows, by a statement of its own
        store.responses.create(new, [input_message(first.id, _HARD)])

    columns = "to_jsonb(r) - 'id' - 'created_at', r.parameters::text, r.metadata::text"
    one, other = (
        sql(f"SELECT {columns} FROM responses r WHERE id = %s", new.id) for new in (first, second)
    )
    assert one == other
    read = store.responses.get(DEFAULT_PROJECT, second.id)
    assert read == replace(second, reservation=None, traceparent=None)  # which are for workers


def test_one_for_later_is_deferred(store: Store, sql: RunSql) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    new = stored_response(not_before=later)

    store.responses.create(new, [])

    assert sql("SELECT deferred, not_before FROM responses") == [(True, later)]
