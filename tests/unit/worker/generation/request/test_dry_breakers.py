"""DRY sequence breakers as a token automaton: they end with their text, however tokenized."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.chat.scripted_encoder import ScriptedEncoder
from worker.engine.params import BREAKER_END, BREAKER_START
from worker.generation.request.dry_breakers import DryBreakerCompiler, Moves

TEXTS = [
    b"a",
    b"b",
    b"c",
    b"ab",
    b"bc",
    b"ba",
    b"abc",
    b"\n",
    b"a\n",
    b"\nb",
    b"\xc3",
    b"\xa9",
    b"",
]

breakers_strategy = st.lists(st.text("abc\né", min_size=1, max_size=5), min_size=1, max_size=3)


def ends_found(moves: Moves, tokens: Sequence[int]) -> list[int]:
    """Return the positions of the tokens that end a breaker, read as the engine does."""
    states, found = {BREAKER_START}, []
    for place, token in enumerate(tokens):
        reached = {end for start, end in moves.get(token, ()) if start in states}
        if BREAKER_END in reached:
            found.append(place)
        states = reached | {BREAKER_START}
    return found


def ends_in_text(breakers: Sequence[str], tokens: Sequence[int]) -> list[int]:
    """Return the same positions by the definition: a breaker ends within the text of the token."""
    found = []
    for place, token in enumerate(tokens):
        before = b"".join(TEXTS[earlier] for earlier in tokens[:place])
        whole = before + TEXTS[token]
        ends = range(len(before) + 1, len(whole) + 1)
        if any(whole[:end].endswith(breaker.encode()) for breaker in breakers for end in ends):
            found.append(place)
    return found


@settings(deadline=None, max_examples=400)
@given(breakers=breakers_strategy, tokens=st.lists(st.integers(0, len(TEXTS) - 2), max_size=30))
def test_a_breaker_ends_where_its_text_does(breakers: list[str], tokens: list[int]) -> None:
    moves = DryBreakerCompiler(lambda: TEXTS).moves(tuple(breakers))

    assert ends_found(moves, tokens) == ends_in_text(breakers, tokens)


@pytest.mark.parametrize(
    ("breaker", "tokens"),
    [
        ("abc", [6]),
        ("abc", [0, 1, 2]),
        ("abc", [3, 2]),
        ("abc", [5, 4]),
        ("é", [10, 11]),
        ("a\nb", [0, 9]),
    ],
)
def test_every_spelling_of_a_breaker_ends_in_its_last_token(
    breaker: str, tokens: list[int]
) -> None:
    moves = DryBreakerCompiler(lambda: TEXTS).moves((breaker,))

    assert ends_found(moves, tokens) == [len(tokens) - 1]


def test_half_of_one_breaker_and_half_of_another_make_none() -> None:
    moves = DryBreakerCompiler(lambda: TEXTS).moves(("ab\n", "cbc"))

    assert ends_found(moves, [0, 1, 2, 2, 1, 7]) == []


def test_no_breakers_have_no_moves() -> None:
    assert DryBreakerCompiler(lambda: TEXTS).moves(()) == {}


def test_texts_are_loaded_once_and_only_when_they_are_needed() -> None:
    loads: list[int] = []
    compiler = DryBreakerCompiler(lambda: loads.append(1) or TEXTS)  # type: ignore[func-returns-value]
    assert not loads

    for breaker in ("a", "b", "a"):
        compiler.moves((breaker,))

    assert len(loads) == 1


def test_the_bytes_of_a_scripted_prompt_are_its_tokens() -> None:
    moves = DryBreakerCompiler(ScriptedEncoder().token_texts).moves(("é",))

    assert ends_found(moves, list("né é".encode())) == [2, 5]
