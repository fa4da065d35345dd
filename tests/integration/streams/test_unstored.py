import redis

from models.encryption.response import ResponseCipher, new_content_key
from models.ids import new_id
from models.streams.unstored import UNSTORED_TTL_S, UnstoredContent, UnstoredContents

_CONTENT = UnstoredContent(
    parameters={"temperature": 0.5}, metadata={"a": "b"}, items=[{"type": "message"}]
)


def test_it_works(client: redis.Redis) -> None:
    contents = UnstoredContents(client)
    cipher = ResponseCipher(new_id(), new_content_key())

    contents.put(cipher, _CONTENT)

    assert contents.get(cipher) == _CONTENT
    assert contents.get(ResponseCipher(new_id(), cipher.key)) is None


def test_content_is_not_kept_for_ever(client: redis.Redis) -> None:
    UnstoredContents(client).put(ResponseCipher(new_id(), new_content_key()), _CONTENT)

    [key] = client.keys()
    assert 0 < client.ttl(key) <= UNSTORED_TTL_S


def test_forgotten_content_leaves_nothing(client: redis.Redis) -> None:
    contents = UnstoredContents(client)
    cipher = ResponseCipher(new_id(), new_content_key())
    contents.put(cipher, _CONTENT)

    contents.forget(cipher.owner_id)

    assert client.keys() == []
