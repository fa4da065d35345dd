"""How loops of our own are compiled for a CPU, and run on its cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

BITS = {torch.float32: torch.uint32, torch.bfloat16: torch.uint16}
"""As what the numbers of a type are handed to a loop: Numba knows no bfloat16."""

BFLOAT16_BITS = np.uint32(16)
"""A bfloat16 is the upper half of a float32."""

_ALMOST_HALF, _LAST_BIT = np.uint32(0x7FFF), np.uint32(1)


def compile_loop(function: F) -> F:
    """Compile by Numba, at the first call; it does not hold the interpreter's lock.

    Sums may be taken in any order, and so vectorised; NaN and infinity stay what they are.
    """
    flags = {"reassoc", "contract", "arcp", "nsz"}
    compiled: Any = njit(nogil=True, fastmath=flags, error_model="numpy")(function)
    return cast("F", compiled)


@cache
def reading(is_short: bool) -> Callable[[Any, Any], None]:
    """The loop that turns the bits of numbers, bfloat16 if `is_short`, into those of float32s."""

    @compile_loop
    def read(numbers: Any, bits: Any) -> None:
        for n in range(len(numbers)):
            bits[n] = np.uint32(numbers[n]) << BFLOAT16_BITS if is_short else numbers[n]

    return read


@cache
def writing(is_short: bool) -> Callable[[Any, Any], None]:
    """The opposite; what becomes bfloat16 is rounded to nearest, halves to the even neighbour."""

    @compile_loop
    def write(bits: Any, numbers: Any) -> None:
        for n in range(len(bits)):
            if is_short:
                is_odd = (bits[n] >> BFLOAT16_BITS) & _LAST_BIT
                numbers[n] = (bits[n] + _ALMOST_HALF + is_odd) >> BFLOAT16_BITS
            else:
                numbers[n] = bits[n]

    return write


def share(work: Callable[[int, int], None], most: int) -> None:
    """Call `work` with (n, count) for all n below `count`, each on a thread of its own; `count`
    is the number of torch's threads, and at most `most`."""
    count = min(torch.get_num_threads(), max(1, most))
    others = [_threads().submit(work, n, count) for n in range(1, count)]
    work(0, count)
    for other in others:
        other.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="loops")
