from pathlib import Path

import pytest

from models.encryption.key_file import KeyFile, KeyFileError, Keys


def parse(lines: list[str]) -> Keys:
    if not lines:
        raise ValueError("there is no key")
    return tuple(line.encode() for line in lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    made.write_text("one\n\n  two \n")
    return made


def test_it_works(path: Path) -> None:
    assert KeyFile(path, parse).keys == (b"one", b"two")


def test_a_change_is_read_once_the_file_is_looked_at_again(path: Path) -> None:
    often, rarely = KeyFile(path, parse, recheck_s=0), KeyFile(path, parse, recheck_s=60)

    path.write_text("three\none\n")

    assert often.keys == (b"three", b"one")
    assert rarely.keys == (b"one", b"two")
    assert rarely.reread() == (b"three", b"one")
    assert rarely.keys == (b"three", b"one")


def test_a_file_that_replaces_another_is_read(path: Path) -> None:
    file = KeyFile(path, parse, recheck_s=0)
    other = path.with_name("other")
    other.write_text("new\n")

    other.replace(path)

    assert file.keys == (b"new",)


def test_a_change_that_cannot_be_used_leaves_the_keys_as_they_were(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(path, parse, recheck_s=0)

    path.write_text("")
    found = [file.keys]
    path.unlink()
    found.append(file.keys)
    path.write_text("three\n")
    found.append(file.keys)

    assert found == [(b"one", b"two"), (b"one", b"two"), (b"three",)]
    assert any("there is no key" in str(vars(record)) for record in caplog.records)


def test_a_file_that_cannot_be_used_is_refused_by_its_name(path: Path) -> None:
    with pytest.raises(KeyFileError, match="missing"):
        KeyFile(path.with_name("missing"), parse)
    path.write_text("")
    with pytest.raises(KeyFileError, match="keys': there is no key"):
        KeyFile(path, parse)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="keys'"):
        KeyFile(path, parse)
