"""The loop of `decode_paged`, compiled by Numba for the shape of a network.

One query token attends over keys and values that lie in blocks of a pool: a softmax over all its
scores, in float32 whatever the pool's type. What is short is widened a vector at a time.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from worker.engine.compiled import BFLOAT16_BITS, compile_loop

_LOG2_E = np.float32(1.4426950408889634)
_LEAST_EXPONENT = np.float32(-126.0)
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
# A polynomial for 2**x within half of 0, the highest power first (Cephes, exp2f).
_C6, _C5, _C4 = map(np.float32, (1.535336188e-4, 1.339887440e-3, 9.618437357e-3))
_C3, _C2, _C1 = map(np.float32, (5.550332548e-2, 2.402264791e-1, 6.931472028e-1))
_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@cache
def decode_kernel(group: int, size: int, value_size: int, is_short: bool) -> Callable[..., None]:
    """Compile the loop for `group` query heads a key head; constant shapes are what makes it fast.

    It takes every `step`-th pair of row and head from the `first` on.
    """
    score, add = _scoring(group, size, is_short), _adding(group, value_size, is_short)

    @compile_loop
    def attend(  # noqa: PLR0913 - compiled code takes arrays, no objects
        query: Any,
        keys: Any,
        values: Any,
        tables: Any,
        lengths: Any,
        block_size: int,
        output: Any,
        first: int,
        step: int,
    ) -> None:
        num_heads = keys.shape[0]
        scores = np.empty((group, tables.shape[1] * block_size), np.float32)
        exponents = np.empty(scores.shape[1], np.int32)
        powers = exponents.view(np.float32)
        for pair in range(first, query.shape[0] * num_heads, step):
            row, head = pair // num_heads, pair % num_heads
            table, length = tables[row], lengths[row]
            score(query[row, head], keys[head], table, length, block_size, scores)
            for member in range(group):
                _softmax(scores[member], length, exponents, powers)
            add(scores, values[head], table, length, block_size, output[row, head])

    return attend


# Both loops below widen what they read themselves: a function for it, measured, takes half of their
# speed in bfloat16.
@cache
def _scoring(group: int, size: int, is_short: bool) -> Callable[..., None]:
    @compile_loop
    def score(
        queries: Any, keys: Any, table: Any, length: int, block_size: int, scores: Any
    ) -> None:
        """Multiply each of the queries [group, size] with each key."""
        bits = np.empty(size, np.uint32)
        wide = bits.view(np.float32)
        for position in range(length):
            slot = table[position // block_size] * block_size + position % block_size
            if is_short:
                for n in range(size):
                    bits[n] = np.uint32(keys[slot, n]) << BFLOAT16_BITS
                key = wide
            else:
                key = keys[slot]
            for member in range(group):
                total = np.float32(0.0)
                for n in range(size):
                    total += queries[member, n] * key[n]
                scores[member, position] = total

    return score


@cache
def _adding(group: int, size: int, is_short: bool) -> Callable[..., None]:
    @compile_loop
    def add(
        weights: Any, values: Any, table: Any, length: int, block_size: int, output: Any
    ) -> None:
        """Sum the values, each with its weights [group, length], into output [group, size]."""
        bits = np.empty(size, np.uint32)
        wide = bits.view(np.float32)
        totals = np.zeros((group, size), np.float32)
        for position in range(length):
            slot = table[position // block_size] * block_size + position % block_size
            if is_short:
                for n in range(size):
                    bits[n] = np.uint32(values[slot, n]) << BFLOAT16_BITS
                value = wide
            else:
                value = values[slot]
            for member in range(group):
                weight = weights[member, position]
                for n in range(size):
                    totals[member, n] += weight * value[n]
        for member in range(group):
            for n in range(size):
                output[member, n] = totals[member, n]

    return add


@compile_loop
def _softmax(scores: Any, length: int, exponents: Any, powers: Any) -> None:
    """Turn scores into weights that sum to one, in place; 2**x as polynomial times exponent bits,
    since a call of the C library for each would not be vectorised."""
    best = scores[0]
    for n in range(length):
        best = max(best, scores[n])
    for n in range(length):
        power = max((scores[n] - best) * _LOG2_E, _LEAST_EXPONENT)
        whole = np.floor(power + _HALF)
        rest = power - whole
        exponents[n] = (np.int32(whole) + _EXPONENT_BIAS) << _MANTISSA_BITS
        poly = _C6 * rest + _C5
        poly = ((poly * rest + _C4) * rest + _C3) * rest + _C2
        scores[n] = (poly * rest + _C1) * rest + _ONE
    total = np.float32(0.0)
    for n in range(length):
        scores[n] *= powers[n]
        total += scores[n]
    for n in range(length):
        scores[n] /= total
