import redis

from models.ids import new_id
from models.streams.unstored import UNSTORED_TTL_S, UnstoredContent, UnstoredContents

_CONTENT = UnstoredContent(
    parameters={"temperature": 0.5}, metadata={"a": "b"}, items=[{"type": "message"}]
)


def test_it_works(client: redis.Redis) -> None:
    contents = UnstoredContents(client)
    response_id = new_id()

    contents.put(response_id, _CONTENT)

    assert contents.get(response_id) == _CONTENT
    assert contents.get(new_id()) is None


def test_content_is_not_kept_for_ever(client: redis.Redis) -> None:
    UnstoredContents(client).put(new_id(), _CONTENT)

    [key] = client.keys()
    assert 0 < client.ttl(key) <= UNSTORED_TTL_S


def test_forgotten_content_leaves_nothing(client: redis.Redis) -> None:
    contents = UnstoredContents(client)
    response_id = new_id()
    contents.put(response_id, _CONTENT)

    contents.forget(response_id)

    assert client.keys() == []
