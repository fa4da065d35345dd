"""Count of the repetitions in regular expressions, which multiply where they are nested."""

import re

MAX_REPETITIONS = 100_000
"""Maximum number of times that a part of a regular expression may be repeated."""

_PARTS = re.compile(
    r"""
    \\.                                        # an escape
    | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]  # a class of characters
    | (?P<open>\()
    | (?P<close>\))
    | \{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\}
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_MAX_DIGITS = 9


class TooManyRepetitionsError(ValueError):
    """A regular expression repeats a part too often; the message names the limit."""


def check_repetitions(pattern: str) -> None:
    """Raise `TooManyRepetitionsError` if counted repetitions multiply to more than the limit."""
    if count_repetitions(pattern) > MAX_REPETITIONS:
        raise TooManyRepetitionsError(
            f"a part of a regular expression is repeated more than {MAX_REPETITIONS} times"
        )


def count_repetitions(pattern: str) -> int:
    """Return how many times the most repeated part of a pattern may be repeated by counts.

    The pattern need not be valid.
    """
    groups = [1]  # for each open group, the most repetitions of a part of it
    last = 1  # the repetitions within the part that a count would follow
    for part in _PARTS.finditer(pattern):
        if part["open"]:
            groups.append(1)
            last = 1
        elif part["close"]:
            last = groups.pop() if len(groups) > 1 else 1
        elif part["comma"] is not None:
            last *= max(1, _number(part["least"]), _number(part["most"]))
        else:
            last = 1
        groups[-1] = max(groups[-1], last)
    return max(groups)


def _number(digits: str) -> int:
    return int(digits[:_MAX_DIGITS] or 0) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
