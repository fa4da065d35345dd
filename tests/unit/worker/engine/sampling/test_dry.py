"""DRY against the reference algorithm, which compares token by token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.params import DryParams
from worker.engine.sampling.dry import DryMatcher, suffix_matches
from worker.generation.request.dry_breakers import DryBreakerCompiler

TEXTS = [b"a", b"b", b"c", b"ab", b"bc", b"\n"]

tokens_strategy = st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=40)
breakers_strategy = st.lists(st.sampled_from(["\n", "abc", "bc", "cab", "b\n", "aa"]), max_size=2)


def params_for(breakers: Sequence[str] = (), **changes: Any) -> DryParams:
    moves = DryBreakerCompiler(lambda: TEXTS).moves(tuple(breakers))
    return DryParams(**{"multiplier": 0.8, "breaker_moves": moves, **changes})


def penalties_of(matcher: DryMatcher) -> dict[int, float]:
    ids, amounts = matcher.penalties()
    return dict(zip(ids.tolist(), amounts.tolist(), strict=True))


def ends_breaker(tokens: Sequence[int], breakers: Sequence[str]) -> bool:
    """Return True if a breaker's text ends within that of the last token."""
    before = b"".join(TEXTS[token] for token in tokens[:-1])
    whole = before + TEXTS[tokens[-1]]
    ends = range(len(before) + 1, len(whole) + 1)
    return any(whole[:end].endswith(breaker.encode()) for breaker in breakers for end in ends)


def by_reference(
    tokens: Sequence[int], breakers: Sequence[str], params: DryParams
) -> dict[int, float]:
    """Return penalties by p-e-w's loop: extend every earlier match of the last token backwards."""
    is_breaker = [ends_breaker(tokens[: n + 1], breakers) for n in range(len(tokens))]
    longest: dict[int, int] = {}
    for place, token in enumerate(tokens[:-1]):
        following = tokens[place + 1]
        if token != tokens[-1] or is_breaker[-1] or ends_breaker([*tokens, following], breakers):
            continue
        match = 1
        while place >= match and tokens[place - match] == tokens[-1 - match]:
            if is_breaker[-1 - match]:
                break
            match += 1
        longest[following] = max(longest.get(following, 0), match)
    allowed = params.allowed_length
    return {
        token: params.multiplier * params.base ** (match - allowed)
        for token, match in longest.items()
        if match >= allowed
    }


@settings(deadline=None, max_examples=400)
@given(
    tokens=tokens_strategy,
    breakers=breakers_strategy,
    base=st.floats(0, 3),
    allowed_length=st.integers(0, 4),
)
def test_penalties_are_those_of_the_reference(
    tokens: list[int], breakers: list[str], base: float, allowed_length: int
) -> None:
    params = params_for(breakers, base=base, allowed_length=allowed_length)

    found = penalties_of(DryMatcher(params, tokens))

    assert found == pytest.approx(by_reference(tokens, breakers, params))


@settings(deadline=None, max_examples=200)
@given(tokens=tokens_strategy, breakers=breakers_strategy, data=st.data())
def test_matches_are_the_same_whenever_the_tokens_came(
    tokens: list[int], breakers: list[str], data: st.DataObject
) -> None:
    params = params_for(breakers)
    num_first = data.draw(st.integers(1, len(tokens)))
    grown = DryMatcher(params, tokens[:num_first])

    for token in tokens[num_first:]:
        grown.advance(token)

    assert penalties_of(grown) == penalties_of(DryMatcher(params, tokens))


@given(tokens=tokens_strategy)
def test_the_z_algorithm_finds_what_comparing_finds(tokens: list[int]) -> None:
    expected = []
    for end in range(1, len(tokens)):
        same = [tokens[end - n : end] == tokens[len(tokens) - n :] for n in range(1, end + 1)]
        expected.append(sum(same))

    assert suffix_matches(tokens).tolist() == expected


def test_the_token_that_would_prolong_a_repetition_is_penalised() -> None:
    matcher = DryMatcher(params_for(multiplier=1.0, base=2.0, allowed_length=2), [0, 1, 2, 3, 0, 1])

    assert penalties_of(matcher) == {2: 1.0}

    matcher.advance(2)
    assert penalties_of(matcher) == {3: 2.0}


def test_a_breaker_of_many_tokens_hides_what_was_before_it() -> None:
    tokens = [3, 5, 0, 1, 2, 4, 3, 5, 0, 1, 2]

    assert penalties_of(DryMatcher(params_for(), tokens)).keys() == {4}
    assert penalties_of(DryMatcher(params_for(["abc"]), tokens)) == {}


def test_a_token_that_would_end_a_breaker_is_not_penalised() -> None:
    tokens = [0, 0, 1, 2, 0, 0, 1]

    assert penalties_of(DryMatcher(params_for(), tokens)).keys() == {2}
    assert penalties_of(DryMatcher(params_for(["bc"]), tokens)) == {}


def test_a_match_of_any_length_gives_a_number() -> None:
    matcher = DryMatcher(params_for(base=1e9), [0] * 5000)

    assert penalties_of(matcher) == {0: np.inf}
