"""Tokens of a response, each with the choice (of `n`) that it belongs to.

Given tokens are those of search results, which the model reads in the middle of its output and did
not generate. They are stored as their complement, `~token_id`, so that logs and checkpoints hold
one list of numbers.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class GeneratedToken(NamedTuple):
    """One token of one choice."""

    choice: int
    token_id: int
    """Id in the vocabulary; for a given token its complement, which is negative."""

    @property
    def is_given(self) -> bool:
        """Return True if the model read the token and did not generate it."""
        return self.token_id < 0


def complement(token_id: int) -> int:
    """Convert the id of a given token to its stored form, or back."""
    return ~token_id


def group_by_choice(tokens: Iterable[GeneratedToken]) -> dict[int, list[int]]:
    """Return the token ids of each choice, in order; a choice without tokens has no key."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for choice, token_id in tokens:
        groups[choice].append(token_id)
    return groups


def split_last_turn(token_ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split the tokens of one choice into those that extend the prompt and those generated since.

    All tokens up to the last given one extend the prompt. Their ids are the vocabulary's.
    """
    given_positions = [position for position, token_id in enumerate(token_ids) if token_id < 0]
    start = given_positions[-1] + 1 if given_positions else 0
    prompt_ids = [
        complement(token_id) if token_id < 0 else token_id for token_id in token_ids[:start]
    ]
    return prompt_ids, list(token_ids[start:])
