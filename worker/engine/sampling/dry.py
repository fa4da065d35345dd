"""DRY, "don't repeat yourself": makes tokens unlikely that would prolong a repetition.

The algorithm is p-e-w's (text-generation-webui, pull request 5637): where the last tokens have
occurred before, the token that followed them there loses `multiplier * base^(match - allowed)`,
`match` being the length of the longest such occurrence, if that is `allowed` or more. No match
reaches back into a sequence breaker, and no token that ends a breaker is penalised. Other than the
reference it has no greatest length of a match, and breakers may be spelled by any tokens.

The Z algorithm over the reversed tokens finds all matches of a prompt in linear time; from there
on each token prolongs them or ends them.
"""

from collections.abc import Sequence

import numpy as np

from worker.engine.params import BREAKER_END, BREAKER_START, DryParams


class DryMatcher:
    """Where in one sequence its own end has occurred before, and for how many tokens."""

    def __init__(self, params: DryParams, tokens: Sequence[int]) -> None:
        self._params = params
        self._states = {BREAKER_START}
        num_since_breaker = 0
        for token in tokens:
            num_since_breaker = 0 if self._ends_breaker(token) else num_since_breaker + 1
            self._read(token)
        self._tokens = np.array(tokens, dtype=np.int64)
        self._matches = np.minimum(suffix_matches(tokens), num_since_breaker)
        """For every token but the last: how many up to it equal the sequence's last ones."""

    def advance(self, token: int) -> None:
        """Take a token that was generated."""
        grown = np.concatenate(([0], self._matches)) + 1
        is_same = (self._tokens == token) & (not self._ends_breaker(token))
        self._matches = np.where(is_same, grown, 0)
        self._tokens = np.append(self._tokens, token)
        self._read(token)

    def penalties(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of the tokens to be penalised and by how much."""
        params = self._params
        places = np.flatnonzero(self._matches >= max(1, params.allowed_length))
        ids, owners = np.unique(self._tokens[places + 1], return_inverse=True)
        longest = np.zeros(len(ids), dtype=np.int64)
        np.maximum.at(longest, owners, self._matches[places])
        is_free = np.array(
            [not self._ends_breaker(token) for token in ids.tolist()], dtype=np.bool_
        )
        exponents = (longest[is_free] - params.allowed_length).astype(np.float64)
        with np.errstate(over="ignore"):
            return ids[is_free], params.multiplier * np.power(params.base, exponents)

    def _ends_breaker(self, token: int) -> bool:
        moves = self._params.breaker_moves.get(token, ())
        return any(end == BREAKER_END and start in self._states for start, end in moves)

    def _read(self, token: int) -> None:
        moves = self._params.breaker_moves.get(token, ())
        self._states = {end for start, end in moves if start in self._states} | {BREAKER_START}


def suffix_matches(tokens: Sequence[int]) -> np.ndarray:
    """Return, for every token but the last, the length of the longest common suffix of the tokens
    up to it and all of them: the Z algorithm, from the end."""
    text = tokens[::-1]
    size = len(text)
    matches = [0] * size
    left = right = 0
    for place in range(1, size):
        length = min(right - place, matches[place - left]) if place < right else 0
        while place + length < size and text[length] == text[place + length]:
            length += 1
        matches[place] = length
        if place + length > right:
            left, right = place, place + length
    return np.array(matches[:0:-1], dtype=np.int64)
