import base64
from pathlib import Path
from uuid import UUID

import pytest

from models.encryption.content_keys import ContentKeyError, ContentKeyring, DataKey
from models.ids import new_id

OLD, NEW = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "content-keys"
    made.write_text(f"# of this year\n{OLD}\n")
    return made


def test_it_works(path: Path) -> None:
    keyring, key = ContentKeyring.load(path), DataKey.new()

    stored = keyring.encrypt("default", key)

    assert keyring.has_keys
    assert base64.b64encode(key.key).decode() not in stored
    assert ContentKeyring.load(path).decrypt("default", stored) == key
    assert repr(key.key) not in repr(key)


def test_a_data_key_is_of_one_project(path: Path) -> None:
    keyring = ContentKeyring.load(path)
    stored = keyring.encrypt("default", DataKey.new())

    with pytest.raises(ContentKeyError, match="damaged, or of another project"):
        keyring.decrypt("other", stored)


def test_the_first_key_encrypts_and_every_key_decrypts(path: Path) -> None:
    keyring, key = ContentKeyring.load(path), DataKey.new()
    stored = keyring.encrypt("default", key)

    path.write_text(f"{NEW}\n{OLD}\n")
    rotated = ContentKeyring.load(path)
    fresh = rotated.encrypt("default", rotated.decrypt("default", stored))

    assert rotated.is_current(fresh)
    assert not rotated.is_current(stored)
    # A process that has not looked at the file since then looks at it now.
    assert keyring.decrypt("default", fresh) == key
    path.write_text(f"{NEW}\n")
    assert ContentKeyring.load(path).decrypt("default", fresh) == key
    with pytest.raises(ContentKeyError, match="no key with the fingerprint"):
        ContentKeyring.load(path).decrypt("default", stored)


def test_without_a_key_nothing_is_encrypted(path: Path) -> None:
    stored = ContentKeyring.load(path).encrypt("default", DataKey.new())
    path.write_text("# keys come here\n")

    assert not ContentKeyring.load(path).has_keys
    assert not ContentKeyring.load(None).has_keys
    with pytest.raises(ContentKeyError, match="names no file"):
        ContentKeyring.load(None).decrypt("default", stored)


@pytest.mark.parametrize("line", ["short", "!" * 44, base64.b64encode(b"k" * 16).decode()])
def test_a_line_that_is_no_key_is_refused_by_its_number(path: Path, line: str) -> None:
    path.write_text(f"# comment\n{OLD}\n{line}\n")

    with pytest.raises(ContentKeyError, match=r"_KEYS_FILE=.*key 2 is not 32 bytes") as error:
        ContentKeyring.load(path)
    assert line not in str(error.value)


def test_derived_keys_differ_by_what_they_are_for() -> None:
    key, first, second = DataKey(b"k" * 32), new_id(), new_id()

    def all_of(data_key: DataKey, owner: UUID) -> set[bytes]:
        return {
            data_key.of_response(owner),
            data_key.of_conversation(owner),
            data_key.digest("item", owner.bytes),
            data_key.digest("name", owner.bytes),
        }

    found = all_of(key, first) | all_of(key, second) | all_of(DataKey(b"K" * 32), first)
    assert len(found) == 12
    assert key.of_response(first) == DataKey(b"k" * 32).of_response(first)
    assert key.digest("pair", b"a", b"bc") != key.digest("pair", b"ab", b"c")
