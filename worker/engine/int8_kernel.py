"""The loop of `quantize`, compiled by Numba: few rows times a matrix of bytes.

Activations become whole numbers of 14 bits, with a scale for each row: then products and sums are
those of integers, which take a CPU half of the instructions of float32. What this rounds off,
2^-14 of the row's largest value, does not show beside what bfloat16 does to each of them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from worker.engine.compiled import compile_loop, reading, writing

_LEVELS = np.float32(8191.0)
"""13 bits beside the sign."""
_SPAN = 2048
"""So many products of a level with a weight of at most 127 fit into an int32."""

_NO_SIGN, _INFINITY = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)


@cache
def int8_kernel(is_short: bool) -> Callable[..., None]:
    """Compile the loop for float32, or, if `is_short`, for bfloat16; both are given as bits.

    It computes the part `part` of `num_parts` of the outputs.
    """
    quantize, write = _quantizing(is_short), writing(is_short)

    @compile_loop
    def multiply(  # noqa: PLR0913 - compiled code takes arrays, no objects
        rows: Any,
        weights: Any,
        scales: Any,
        bias: Any,
        output: Any,
        part: int,
        num_parts: int,
    ) -> None:
        num_outputs, num_inputs = weights.shape
        start = part * num_outputs // num_parts
        end = (part + 1) * num_outputs // num_parts
        levels = np.empty((len(rows), num_inputs), np.int16)
        steps = np.empty(len(rows), np.float32)
        totals = np.empty((len(rows), end - start), np.float32)
        for row in range(len(rows)):
            steps[row] = quantize(rows[row], levels[row])
        for out in range(start, end):
            for row in range(len(rows)):
                total = _dot(levels[row], weights[out]) * (steps[row] * scales[out])
                totals[row, out - start] = total + bias[out]
        for row in range(len(rows)):
            write(totals[row].view(np.uint32), output[row, start:end])

    return multiply


@compile_loop
def _dot(levels: Any, weights: Any) -> Any:
    total = np.float32(0.0)
    for start in range(0, len(levels), _SPAN):
        total += np.float32(_dot_of_span(levels[start:], weights[start:]))
    return total


@compile_loop
def _dot_of_span(levels: Any, weights: Any) -> Any:
    total = np.int32(0)
    for n in range(min(_SPAN, len(levels))):
        total = np.int32(total + np.int32(levels[n]) * np.int32(weights[n]))
    return total


@cache
def _quantizing(is_short: bool) -> Callable[..., Any]:
    read = reading(is_short)

    @compile_loop
    def quantize(row: Any, levels: Any) -> Any:
        """Round a row to levels, and return what a level is worth; NaN if that of the row is."""
        bits = np.empty(len(row), np.uint32)
        read(row, bits)
        peak = np.uint32(0)  # of the bits, which without their sign are in the numbers' order
        for n in range(len(row)):
            peak = max(peak, bits[n] & _NO_SIGN)
        if peak == 0 or peak >= _INFINITY:
            levels[:] = 0
            return np.float32(0.0) if peak == 0 else np.float32(np.nan)
        largest = np.array([peak], np.uint32).view(np.float32)[0]
        values = bits.view(np.float32)
        for n in range(len(row)):
            levels[n] = np.int16(np.rint(values[n] / largest * _LEVELS))
        return largest / _LEVELS

    return quantize
