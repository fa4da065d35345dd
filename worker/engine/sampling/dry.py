"""DRY ("don't repeat yourself") penalty on tokens that would extend a repetition.

The algorithm is p-e-w's (text-generation-webui, pull request 5637): where the last tokens of the
sequence have occurred before, the token that followed them there loses
`multiplier * base^(match - allowed)`. `match` is the length of the longest such occurrence; shorter
ones than `allowed` have no effect. No match extends back across a sequence breaker, and no token
that ends a breaker is penalised. Unlike the reference, the length of a match is unlimited, and a
breaker may consist of any tokens.

The Z algorithm over the reversed tokens finds all matches of a prompt in linear time; every token
after it extends or ends them.
"""

from collections.abc import Sequence

import numpy as np

from worker.engine.params import BREAKER_END, BREAKER_START, DryParams


class DryMatcher:
    """Earlier occurrences of the end of a sequence, with their lengths in tokens."""

    def __init__(self, params: DryParams, tokens: Sequence[int]) -> None:
        self._params = params
        self._states = {BREAKER_START}
        num_since_breaker = 0
        for token in tokens:
            num_since_breaker = 0 if self._ends_breaker(token) else num_since_breaker + 1
            self._read(token)
        self._tokens = np.array(tokens, dtype=np.int64)
        self._matches = np.minimum(suffix_matches(tokens), num_since_breaker)
        """For every token but the last: the number of tokens up to it that equal the last ones."""

    def advance(self, token: int) -> None:
        """Append a generated token."""
        grown = np.concatenate(([0], self._matches)) + 1
        is_same = (self._tokens == token) & (not self._ends_breaker(token))
        self._matches = np.where(is_same, grown, 0)
        self._tokens = np.append(self._tokens, token)
        self._read(token)

    def penalties(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of the tokens to penalise and the amounts to take from their logits."""
        params = self._params
        ends = np.flatnonzero(self._matches >= max(1, params.allowed_length))
        ids, owners = np.unique(self._tokens[ends + 1], return_inverse=True)
        longest = np.zeros(len(ids), dtype=np.int64)
        np.maximum.at(longest, owners, self._matches[ends])
        is_penalised = np.array(
            [not self._ends_breaker(token) for token in ids.tolist()], dtype=np.bool_
        )
        exponents = (longest[is_penalised] - params.allowed_length).astype(np.float64)
        with np.errstate(over="ignore"):
            return ids[is_penalised], params.multiplier * np.power(params.base, exponents)

    def _ends_breaker(self, token: int) -> bool:
        moves = self._params.breaker_moves.get(token, ())
        return any(end == BREAKER_END and start in self._states for start, end in moves)

    def _read(self, token: int) -> None:
        moves = self._params.breaker_moves.get(token, ())
        self._states = {end for start, end in moves if start in self._states} | {BREAKER_START}


def suffix_matches(tokens: Sequence[int]) -> np.ndarray:
    """Return for every token but the last the length of the suffix match that ends at it.

    That is the longest common suffix of the tokens up to it and of all tokens, computed by the Z
    algorithm on the reversed sequence.
    """
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
