"""Tokens of a response, each with the choice (of `n`) that it belongs to.

Given tokens are those of the results of hosted calls, which the model reads in the middle of its
output and did not generate. They are stored as their complement, `~token_id`, so that logs and
checkpoints hold one list of numbers. Notes (`models/responses/notes.py`) have the complements of
ids beyond any vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

FIRST_NOTE_ID = 1 << 26
"""Least id of a note's tokens: no vocabulary nears it, and checkpoints hold ids up to 2**27."""


class GeneratedToken(NamedTuple):
    """One token of one choice."""

    choice: int
    token_id: int
    """Id in the vocabulary; for a given token its complement, which is negative."""

    @property
    def is_given(self) -> bool:
        """Return True if the model did not generate the token, but read it, or it is of a note."""
        return self.token_id < 0

    @property
    def is_of_note(self) -> bool:
        """Return True if it stands for no token: the model neither generated nor read it."""
        return is_of_note(self.token_id)


def is_of_note(token_id: int) -> bool:
    """Return True if an id is part of a note and stands for no token."""
    return token_id < -FIRST_NOTE_ID


def without_notes(token_ids: Iterable[int]) -> list[int]:
    """Return the ids that stand for tokens."""
    return [token_id for token_id in token_ids if not is_of_note(token_id)]


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
