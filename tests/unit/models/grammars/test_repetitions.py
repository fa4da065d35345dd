"""Counted repetitions in regular expressions."""

import pytest

from models.grammars.repetitions import (
    MAX_REPETITIONS,
    TooManyRepetitionsError,
    check_repetitions,
    count_repetitions,
)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("", 1),
        ("abc*d+e?", 1),
        ("a{5}", 5),
        ("a{2,}", 2),
        ("a{,7}", 7),
        ("a{2,7}b{3}", 7),
        ("(a{1,50}){1,50}", 2500),
        ("((a{1,50}){1,50}){1,50}", 125_000),
        ("(a{3}|b{4}){5}", 20),
        ("(a{3})(b{4}){5}", 20),
        ("((a{3})b){5}", 15),
        ("(?:a{3}){5}", 15),
        ("(?<name>a{3}){5}", 15),
        ("((ab){3}c{2}){5}", 15),
        ("a{3}{4}", 12),
        (r"\(a{3}\){4}", 4),
        ("[(]a{3}[)]{4}", 4),
        ("([{5}(]{3}){4}", 12),
        ("[^]{9}]{2}", 2),
        ("[[:alpha:](]{2}", 2),
        (r"\{9}", 1),
        (")))a{3}", 3),
        ("(((a{3}", 3),
        ("a{x}{4,b}", 1),
        (f"a{{{'9' * 20_000}}}", 10**9),
    ],
)
def test_counts_of_nested_repetitions_are_multiplied(pattern: str, count: int) -> None:
    assert count_repetitions(pattern) == count


def test_a_pattern_that_repeats_too_often_is_refused_with_the_limit() -> None:
    check_repetitions(f"(a{{{MAX_REPETITIONS // 10}}}){{10}}")

    with pytest.raises(TooManyRepetitionsError, match=f"more than {MAX_REPETITIONS} times"):
        check_repetitions(f"(a{{{MAX_REPETITIONS // 10}}}){{11}}")
