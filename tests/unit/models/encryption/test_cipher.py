import base64
from itertools import count

import pytest

from models.encryption.cipher import ContentCipher, DecryptionError, new_encryption_key

CONTENT = {"text": "Grüße", "items": [1, None]}


@pytest.fixture
def cipher() -> ContentCipher:
    keys = {"ours": new_encryption_key(), "theirs": new_encryption_key()}
    return ContentCipher(keys.__getitem__)


def test_it_works(cipher: ContentCipher) -> None:
    encrypted = cipher.encrypt("ours", "tests", CONTENT)

    assert cipher.decrypt("ours", "tests", encrypted) == CONTENT
    assert b"items" not in base64.urlsafe_b64decode(encrypted + "==")


def test_what_one_project_was_given_is_nothing_to_another(cipher: ContentCipher) -> None:
    encrypted = cipher.encrypt("ours", "tests", CONTENT)

    with pytest.raises(DecryptionError):
        cipher.decrypt("theirs", "tests", encrypted)


def test_what_was_encrypted_for_one_purpose_is_nothing_for_another(cipher: ContentCipher) -> None:
    encrypted = cipher.encrypt("ours", "tests", CONTENT)

    with pytest.raises(DecryptionError):
        cipher.decrypt("ours", "others", encrypted)


def test_the_same_is_encrypted_the_same_each_time(cipher: ContentCipher) -> None:
    assert cipher.encrypt("ours", "tests", CONTENT) == cipher.encrypt("ours", "tests", CONTENT)


@pytest.mark.parametrize("position", [0, 30, -3])
def test_a_changed_text_is_refused(cipher: ContentCipher, position: int) -> None:
    encrypted = list(cipher.encrypt("ours", "tests", CONTENT))
    encrypted[position] = "B" if encrypted[position] == "A" else "A"

    with pytest.raises(DecryptionError):
        cipher.decrypt("ours", "tests", "".join(encrypted))


@pytest.mark.parametrize("text", ["", "x", "gAAAAA==", "ä", "\ud800"])
def test_any_other_text_is_refused(cipher: ContentCipher, text: str) -> None:
    with pytest.raises(DecryptionError):
        cipher.decrypt("ours", "tests", text)


def test_a_key_is_fetched_once() -> None:
    fetched = count()

    def key_of(_: str) -> str:
        next(fetched)
        return new_encryption_key()

    cipher = ContentCipher(key_of)
    assert cipher.decrypt("ours", "tests", cipher.encrypt("ours", "tests", CONTENT)) == CONTENT
    assert next(fetched) == 1
