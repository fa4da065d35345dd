from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.engine.conftest import EOS, byte_tokenizer
from worker.engine.scripted import ScriptedTokenizer
from worker.parsing.text_pipeline import Detokenizer

BYTES = ScriptedTokenizer()


def pieces(token_ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(BYTES)
    return [*map(detokenizer.decode, token_ids), detokenizer.decode_rest()]


def test_a_character_appears_with_its_last_byte() -> None:
    assert pieces(BYTES.encode("a😀é")) == ["a", "", "", "", "😀", "", "é", ""]


@given(st.text())
def test_no_piece_holds_half_a_character(text: str) -> None:
    parts = pieces(BYTES.encode(text))

    assert "".join(parts) == text


@given(st.lists(st.integers(0, 255), max_size=200))
def test_bytes_that_are_not_text_come_out_as_they_decode(token_ids: list[int]) -> None:
    assert "".join(pieces(token_ids)) == BYTES.decode(token_ids)


def test_an_unfinished_character_comes_with_the_flush() -> None:
    assert pieces(BYTES.encode("é")[:1]) == ["", "\N{REPLACEMENT CHARACTER}"]


def test_bytes_that_never_become_text_do_not_grow_the_window() -> None:
    seen: list[int] = []

    class Measured:
        def decode(self, token_ids: list[int]) -> str:
            seen.append(len(token_ids))
            return BYTES.decode(token_ids)

    detokenizer = Detokenizer(Measured())
    for _ in range(1000):
        detokenizer.decode(0xFF)

    assert max(seen) <= 128


def test_special_tokens_leave_no_text() -> None:
    tokenizer = byte_tokenizer()
    detokenizer = Detokenizer(tokenizer)
    token_ids = [*tokenizer.encode("so be it").ids, EOS]

    assert "".join(map(detokenizer.decode, token_ids)) + detokenizer.decode_rest() == "so be it"
