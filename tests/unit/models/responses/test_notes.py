"""Notes among the tokens of a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.responses.checkpoint import Checkpoint
from models.responses.notes import Note, NoteKind, parse_notes
from models.responses.tokens import GeneratedToken, complement, is_of_note, without_notes

LIST = Note(kind=NoteKind.TOOLS_LISTED, content={"server_label": "a", "tools": []})
ENDED = Note(kind=NoteKind.CALL_ENDED)


@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_it_is_read_as_it_was_written(content: dict[str, str]) -> None:
    note = Note(kind=NoteKind.TOOLS_LISTED, content=content)

    assert list(parse_notes(note.token_ids())) == [note]


def test_notes_that_follow_each_other_are_told_apart() -> None:
    token_ids = [*LIST.token_ids(), *ENDED.token_ids(), *LIST.token_ids()]

    assert list(parse_notes(token_ids)) == [LIST, ENDED, LIST]


@pytest.mark.parametrize("token_id", [0, 7, 2**24, complement(0), complement(2**24)])
def test_tokens_are_of_no_note(token_id: int) -> None:
    assert not is_of_note(token_id)
    assert without_notes([token_id, *ENDED.token_ids(), token_id]) == [token_id, token_id]


def test_a_checkpoint_holds_them() -> None:
    token_ids = [*LIST.token_ids(), 5, complement(6), *ENDED.token_ids()]
    tokens = tuple(GeneratedToken(0, token_id) for token_id in token_ids)
    checkpoint = Checkpoint(next_sequence_number=3, tokens=tokens)

    assert Checkpoint.from_bytes(checkpoint.to_bytes()) == checkpoint
