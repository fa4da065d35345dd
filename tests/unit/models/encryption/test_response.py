from dataclasses import replace

import pytest

from models.encryption.response import ResponseCipher, new_content_key
from models.ids import new_id


@pytest.fixture
def cipher() -> ResponseCipher:
    return ResponseCipher(new_id(), new_content_key())


@pytest.mark.parametrize("data", [b"", b"1 2 3", b'{"a":"\xc3\xa9"}', bytes(range(256))])
def test_it_works(cipher: ResponseCipher, data: bytes) -> None:
    encrypted = cipher.encrypt("content", data)

    assert cipher.decrypt("content", encrypted) == data
    assert b"\n" not in encrypted
    assert b" " not in encrypted


def test_equal_contents_have_different_ciphertexts(cipher: ResponseCipher) -> None:
    assert cipher.encrypt("content", b"a") != cipher.encrypt("content", b"a")


def test_ciphertext_is_of_one_response_and_purpose(cipher: ResponseCipher) -> None:
    encrypted = cipher.encrypt("event 1", b"a")

    assert cipher.decrypt("event 2", encrypted) is None
    assert replace(cipher, owner_id=new_id()).decrypt("event 1", encrypted) is None
    assert replace(cipher, key=new_content_key()).decrypt("event 1", encrypted) is None
    assert replace(cipher, key=None).decrypt("event 1", encrypted) is None


@pytest.mark.parametrize("data", [b"", b"x", b"AAAA", b"not base64!"])
def test_anything_else_is_no_ciphertext(cipher: ResponseCipher, data: bytes) -> None:
    assert cipher.decrypt("content", data) is None


def test_json_of_an_earlier_version_is_read(cipher: ResponseCipher) -> None:
    assert replace(cipher, key=None).decrypt("content", b"{}") == b"{}"
