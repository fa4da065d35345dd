import orjson

from api.streaming.connection_cache import ContextCache
from models.ids import new_id

ITEMS = [{"type": "message", "role": "user", "content": "x" * 50}]
SIZE = len(orjson.dumps(ITEMS))


def test_it_works() -> None:
    kept, response_id = ContextCache(), new_id()

    kept.keep(response_id, ITEMS)

    assert kept.get(response_id) == ITEMS
    kept.forget(response_id)
    assert kept.get(response_id) is None


def test_the_least_recently_used_go_first() -> None:
    kept, ids = ContextCache(max_bytes=2 * SIZE), [new_id() for _ in range(3)]

    kept.keep(ids[0], ITEMS)
    kept.keep(ids[1], ITEMS)
    kept.get(ids[0])
    kept.keep(ids[2], ITEMS)

    assert [kept.get(each) for each in ids] == [ITEMS, None, ITEMS]


def test_what_was_forgotten_makes_room() -> None:
    kept, ids = ContextCache(max_bytes=SIZE), [new_id() for _ in range(2)]

    kept.keep(ids[0], ITEMS)
    kept.forget(ids[0])
    kept.forget(ids[0])
    kept.keep(ids[1], ITEMS)

    assert kept.get(ids[1]) == ITEMS


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    kept, small, large = ContextCache(max_bytes=SIZE), new_id(), new_id()

    kept.keep(small, ITEMS)
    kept.keep(large, ITEMS * 2)

    assert (kept.get(small), kept.get(large)) == (ITEMS, None)
