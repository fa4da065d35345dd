import orjson

from api.streaming.websocket.context_cache import ContextCache
from models.ids import new_id

ITEMS = [{"type": "message", "role": "user", "content": "x" * 50}]
SIZE = len(orjson.dumps(ITEMS))


def test_it_works() -> None:
    cache, response_id = ContextCache(), new_id()

    cache.keep(response_id, ITEMS)

    assert cache.get(response_id) == ITEMS
    cache.forget(response_id)
    assert cache.get(response_id) is None


def test_the_least_recently_used_go_first() -> None:
    cache, ids = ContextCache(max_bytes=2 * SIZE), [new_id() for _ in range(3)]

    cache.keep(ids[0], ITEMS)
    cache.keep(ids[1], ITEMS)
    cache.get(ids[0])
    cache.keep(ids[2], ITEMS)

    assert [cache.get(response_id) for response_id in ids] == [ITEMS, None, ITEMS]


def test_what_was_forgotten_makes_room() -> None:
    cache, ids = ContextCache(max_bytes=SIZE), [new_id() for _ in range(2)]

    cache.keep(ids[0], ITEMS)
    cache.forget(ids[0])
    cache.forget(ids[0])
    cache.keep(ids[1], ITEMS)

    assert cache.get(ids[1]) == ITEMS


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    cache, small, large = ContextCache(max_bytes=SIZE), new_id(), new_id()

    cache.keep(small, ITEMS)
    cache.keep(large, ITEMS * 2)

    assert (cache.get(small), cache.get(large)) == (ITEMS, None)
