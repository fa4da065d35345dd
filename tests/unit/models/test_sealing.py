from itertools import count

import pytest
from cryptography.fernet import Fernet

from models.sealing import SealBrokenError, Sealer

CONTENT = {"text": "Grüße", "items": [1, None]}


@pytest.fixture
def sealer() -> Sealer:
    keys = {"ours": Fernet.generate_key().decode(), "theirs": Fernet.generate_key().decode()}
    return Sealer(keys.__getitem__)


def test_it_works(sealer: Sealer) -> None:
    sealed = sealer.seal("ours", CONTENT)

    assert sealer.open("ours", sealed) == CONTENT
    assert "Gr" not in sealed


def test_what_one_project_was_given_is_nothing_to_another(sealer: Sealer) -> None:
    sealed = sealer.seal("ours", CONTENT)

    with pytest.raises(SealBrokenError):
        sealer.open("theirs", sealed)


@pytest.mark.parametrize("position", [0, 30, -3])
def test_a_changed_text_is_refused(sealer: Sealer, position: int) -> None:
    sealed = list(sealer.seal("ours", CONTENT))
    sealed[position] = "B" if sealed[position] == "A" else "A"

    with pytest.raises(SealBrokenError):
        sealer.open("ours", "".join(sealed))


@pytest.mark.parametrize("text", ["", "x", "gAAAAA==", "ä", "\ud800"])
def test_any_other_text_is_refused(sealer: Sealer, text: str) -> None:
    with pytest.raises(SealBrokenError):
        sealer.open("ours", text)


def test_a_key_is_fetched_once() -> None:
    fetched = count()

    def key_of(_: str) -> str:
        next(fetched)
        return Fernet.generate_key().decode()

    sealer = Sealer(key_of)
    assert sealer.open("ours", sealer.seal("ours", CONTENT)) == CONTENT
    assert next(fetched) == 1
