"""How loops of our own are compiled for a CPU, and run on its cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

BFLOAT16_BITS = np.uint32(16)
"""A bfloat16 is the upper half of a float32."""


def compile_loop(function: F) -> F:
    """Compile by Numba, at the first call; it does not hold the interpreter's lock.

    Sums may be taken in any order, and so vectorised; NaN and infinity stay what they are.
    """
    flags = {"reassoc", "contract", "arcp", "nsz"}
    compiled: Any = njit(nogil=True, fastmath=flags, error_model="numpy")(function)
    return cast("F", compiled)


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
