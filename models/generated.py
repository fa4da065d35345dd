"""A token that was generated, and for which of the `n` choices."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class GeneratedToken(NamedTuple):
    """One token of one choice."""

    choice: int
    token_id: int


def by_choice(tokens: Iterable[GeneratedToken]) -> dict[int, list[int]]:
    """The token ids of each choice, in order; nothing for a choice that has none."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for choice, token_id in tokens:
        found[choice].append(token_id)
    return found
