"""Contexts that one connection can continue."""

from typing import Any

import pytest

from api.streaming.websocket.context_cache import ContextCache
from api.streaming.websocket.contexts import ConnectionContexts
from models.errors import InvalidRequestError, PreviousResponseNotFoundError
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.schemas.request.create_response import CreateResponse
from tests.factories import stored_response

ITEMS: list[dict[str, Any]] = [{"type": "message", "role": "user", "content": "One."}]


@pytest.fixture
def cache() -> ContextCache:
    return ContextCache()


@pytest.fixture
def contexts(cache: ContextCache) -> ConnectionContexts:
    return ConnectionContexts(cache)


def asking(previous: ResponseRecord, **fields: Any) -> CreateResponse:
    wire_id = response_wire_id(previous.id)
    return CreateResponse(input="Two.", previous_response_id=wire_id, store=False, **fields)


def test_it_works(contexts: ConnectionContexts) -> None:
    record = stored_response()

    contexts.keep("main", record.id, ITEMS)
    found = contexts.find(asking(record))

    assert found is not None
    assert (found.previous_id, found.items) == (record.id, ITEMS)
    assert contexts.find(asking(stored_response())) is None


def test_each_stream_has_its_latest(contexts: ConnectionContexts, cache: ContextCache) -> None:
    old, new, other = (stored_response() for _ in range(3))

    contexts.keep("main", old.id, ITEMS)
    contexts.keep("other", other.id, ITEMS)
    contexts.keep("main", new.id, ITEMS)

    assert contexts.find(asking(old)) is None
    assert contexts.find(asking(new))
    assert contexts.find(asking(other))
    assert cache.get(old.id) is None


@pytest.mark.parametrize(("stream_id", "is_kept"), [("main", False), ("other", True), (None, True)])
def test_only_a_failure_on_its_own_stream_evicts_it(
    contexts: ConnectionContexts, stream_id: str | None, is_kept: bool
) -> None:
    record = stored_response()
    contexts.keep("main", record.id, ITEMS)

    contexts.evict(stream_id, response_wire_id(record.id))
    contexts.evict("main", None)
    contexts.evict("main", ["no id"])

    assert (contexts.find(asking(record)) is not None) == is_kept


def test_what_the_cache_has_evicted_is_not_found() -> None:
    contexts, record = ConnectionContexts(ContextCache(max_bytes=1)), stored_response()
    contexts.keep(None, record.id, ITEMS)

    with pytest.raises(PreviousResponseNotFoundError):
        contexts.find(asking(record))


def test_what_was_not_stored_is_not_stored_by_going_on(contexts: ConnectionContexts) -> None:
    record = stored_response()
    contexts.keep(None, record.id, ITEMS)
    request = asking(record)
    request.store = True

    with pytest.raises(InvalidRequestError, match="store must be false"):
        contexts.find(request)


def test_nothing_is_kept_after_the_end(contexts: ConnectionContexts, cache: ContextCache) -> None:
    first, late = stored_response(), stored_response()
    contexts.keep("main", first.id, ITEMS)

    contexts.close()
    contexts.keep("main", late.id, ITEMS)

    assert cache.get(first.id) is cache.get(late.id) is None
    assert contexts.find(asking(late)) is None
