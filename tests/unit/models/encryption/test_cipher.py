from itertools import count

import pytest

from models.encryption.cipher import SealBrokenError, Sealer, new_sealing_key

CONTENT = {"text": "Grüße", "items": [1, None]}


@pytest.fixture
def sealer() -> Sealer:
    keys = {"ours": new_sealing_key(), "theirs": new_sealing_key()}
    return Sealer(keys.__getitem__)


def test_it_works(sealer: Sealer) -> None:
    sealed = sealer.seal("ours", "tests", CONTENT)

    assert sealer.open("ours", "tests", sealed) == CONTENT
    assert "Gr" not in sealed


def test_what_one_project_was_given_is_nothing_to_another(sealer: Sealer) -> None:
    sealed = sealer.seal("ours", "tests", CONTENT)

    with pytest.raises(SealBrokenError):
        sealer.open("theirs", "tests", sealed)


def test_what_was_sealed_for_one_purpose_is_nothing_for_another(sealer: Sealer) -> None:
    sealed = sealer.seal("ours", "tests", CONTENT)

    with pytest.raises(SealBrokenError):
        sealer.open("ours", "others", sealed)


def test_the_same_is_sealed_the_same_each_time(sealer: Sealer) -> None:
    assert sealer.seal("ours", "tests", CONTENT) == sealer.seal("ours", "tests", CONTENT)


@pytest.mark.parametrize("position", [0, 30, -3])
def test_a_changed_text_is_refused(sealer: Sealer, position: int) -> None:
    sealed = list(sealer.seal("ours", "tests", CONTENT))
    sealed[position] = "B" if sealed[position] == "A" else "A"

    with pytest.raises(SealBrokenError):
        sealer.open("ours", "tests", "".join(sealed))


@pytest.mark.parametrize("text", ["", "x", "gAAAAA==", "ä", "\ud800"])
def test_any_other_text_is_refused(sealer: Sealer, text: str) -> None:
    with pytest.raises(SealBrokenError):
        sealer.open("ours", "tests", text)


def test_a_key_is_fetched_once() -> None:
    fetched = count()

    def key_of(_: str) -> str:
        next(fetched)
        return new_sealing_key()

    sealer = Sealer(key_of)
    assert sealer.open("ours", "tests", sealer.seal("ours", "tests", CONTENT)) == CONTENT
    assert next(fetched) == 1
