"""A token of a response, and for which of the `n` choices.

Some were not generated but given: what a search has found, as the model reads it. They are written
as their complement, so that logs and checkpoints tell them apart and hold one list of numbers.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class GeneratedToken(NamedTuple):
    """One token of one choice."""

    choice: int
    token_id: int
    """Below 0 if it was given: see `complement`."""

    @property
    def is_given(self) -> bool:
        """Whether the model read it, and did not write it."""
        return self.token_id < 0


def complement(token_id: int) -> int:
    """A given token as it is noted, or the token of such a note."""
    return ~token_id


def by_choice(tokens: Iterable[GeneratedToken]) -> dict[int, list[int]]:
    """The token ids of each choice, in order; nothing for a choice that has none."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for choice, token_id in tokens:
        found[choice].append(token_id)
    return found


def last_turn(token_ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Tokens of one choice as the engine takes them: what is read, and what was written since.

    All up to the last that was given are read.
    """
    given = [position for position, token_id in enumerate(token_ids) if token_id < 0]
    start = given[-1] + 1 if given else 0
    read = [complement(each) if each < 0 else each for each in token_ids[:start]]
    return read, list(token_ids[start:])
