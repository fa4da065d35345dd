"""Form of API keys."""

import re
import zlib

import pytest

from models.access.tokens import Token, parse_token


def test_a_token_has_the_documented_form() -> None:
    assert re.fullmatch(
        r"sk-antiphon-[0-9A-Za-z]{10}-[0-9A-Za-z]{43}-[0-9A-Za-z]{6}", Token.new().reveal()
    )


def test_a_token_is_read_back() -> None:
    token = Token.new()

    assert parse_token(token.reveal()) == token


def test_tokens_differ() -> None:
    tokens = [Token.new() for _ in range(100)]

    assert len({token.id for token in tokens}) == len({token.secret for token in tokens}) == 100


def test_the_checksum_is_that_of_all_before_it() -> None:
    token = Token("0123456789", "a" * 43)

    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    checksum = 0
    for digit in token.reveal()[-6:]:
        checksum = checksum * 62 + digits.index(digit)
    assert checksum == zlib.crc32(token.reveal()[:-6].encode())


@pytest.mark.parametrize("position", range(len(Token.new().reveal())))
def test_a_token_with_one_wrong_character_is_none(position: int) -> None:
    text = Token.new().reveal()
    other = "b" if text[position] == "a" else "a"

    assert parse_token(text[:position] + other + text[position + 1 :]) is None


@pytest.mark.parametrize(
    "change",
    [str.upper, str.strip, lambda text: text[:-1], lambda text: text + "a", lambda text: "", repr],
)
def test_other_texts_are_no_tokens(change: object) -> None:
    assert callable(change)
    text = "unused" if change is str.strip else Token.new().reveal()

    assert parse_token(change(text)) is None


def test_the_secret_is_not_in_the_representation() -> None:
    token = Token.new()

    assert token.secret not in repr(token)
