"""Choice of the tokens that content cannot write, and the marks that templates write instead."""

import re

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, Unigram

from models.chat.control_tokens import ControlTokens
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_TEMPLATE = "<|start|> <table>"


def with_tokens(*texts: str, special: bool = False) -> Tokenizer:
    tokenizer = tiny_tokenizer().backend_tokenizer
    tokenizer.add_tokens([AddedToken(text, special=special, normalized=False) for text in texts])
    return tokenizer


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("text", ["<|start|>", "[INST]", "<think>", "/no_think!", "<table>", "|||"])
def test_a_control_token_is_written_by_its_mark_alone(text: str, special: bool) -> None:
    tokenizer = with_tokens(text, special=special)

    control = ControlTokens(tokenizer, _TEMPLATE)

    token_id = tokenizer.token_to_id(text)
    marked = control.mark(f"a{text}b")
    assert text not in marked
    assert control.unmark(marked) == f"a{text}b"
    assert ids_of(control.tokenizer, marked) == ids_of(tokenizer, f"a{text}b")
    assert token_id not in ids_of(control.tokenizer, f"a{text}b")


@pytest.mark.parametrize("text", ["\n\n", "    ", "▁▁", "assistant", "<h1>", "</td>", "<0x0A>"])
def test_a_token_of_ordinary_text_is_one_wherever_it_stands(text: str) -> None:
    tokenizer = with_tokens(text)

    control = ControlTokens(tokenizer, _TEMPLATE)

    assert control.mark(text) == text
    assert ids_of(control.tokenizer, text) == [tokenizer.token_to_id(text)]


def test_the_longest_of_the_tokens_that_begin_at_a_place_counts() -> None:
    control = ControlTokens(with_tokens("<x>", "<x><y>"), "")

    assert ids_of(control.tokenizer, control.mark("<x><y><x>")) == [258, 257]


def test_marks_differ_from_process_to_process_and_cannot_be_guessed() -> None:
    marks = {ControlTokens(with_tokens("<x>"), "").mark("<x>") for _ in range(5)}

    assert len(marks) == 5
    assert all(re.fullmatch(r"<[0-9a-f]{20}[0-9]{5}>", mark) for mark in marks)


def test_merges_do_not_make_a_control_token_of_text() -> None:
    vocabulary = {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[("<", "s"), ("<s", ">")]))
    tokenizer.add_special_tokens(["<s>"])

    control = ControlTokens(tokenizer, "")

    assert ids_of(tokenizer, "<s>") == [4]
    assert ids_of(control.tokenizer, "<s>") == [3, 2]
    assert ids_of(control.tokenizer, control.mark("<s>")) == [4]


def test_merges_within_words_do_not_either() -> None:
    vocabulary = {"<": 0, "##s": 1, "##>": 2, "<s": 3, "<s>": 4}
    merges = [("<", "##s"), ("<s", "##>")]
    model = BPE(vocab=vocabulary, merges=merges, continuing_subword_prefix="##")
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(["<s>"])

    control = ControlTokens(tokenizer, "")

    assert ids_of(tokenizer, "<s>") == [4]
    assert ids_of(control.tokenizer, "<s>") == [3, 2]


def test_pieces_of_the_vocabulary_are_not_found_in_text() -> None:
    pieces = [("<unk>", 0.0), ("<", -2.0), ("s", -2.0), (">", -2.0), ("</s>", 0.0), ("/", -2.0)]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens(["</s>"])

    control = ControlTokens(tokenizer, "")

    assert ids_of(control.tokenizer, "</s>") == [1, 5, 2, 3]
    assert ids_of(control.tokenizer, control.mark("</s>")) == [4]


def test_unknown_characters_stay_the_unknown_token() -> None:
    vocabulary = {"<unk>": 0, "a": 1}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.add_special_tokens(["<unk>"])

    control = ControlTokens(tokenizer, "")

    assert ids_of(control.tokenizer, "aß") == [1, 0]


def test_a_prompt_is_neither_cut_nor_filled_up() -> None:
    tokenizer = with_tokens("<x>")
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)

    assert len(ids_of(ControlTokens(tokenizer, "").tokenizer, "abcd")) == 4
