"""Return of memory to the system by malloc once large bodies are handled.

By default the C library raises the size from which it maps blocks apart when such a block is freed,
up to 32 MiB. The next bodies then lie in the heap, between what stays. Small blocks, the pieces in
which bodies arrive, lie there in any case.
"""

import ctypes
import logging

logger = logging.getLogger(__name__)

_M_MMAP_THRESHOLD = -3
"""Parameter from malloc.h; setting it ends its adjustment."""
_MMAP_THRESHOLD = 1 << 20


def return_large_blocks() -> None:
    """Have malloc return freed blocks of more than 1 MiB; no effect outside glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD):
        logger.warning("malloc does not take settings; memory of large bodies may stay")


def trim_heap() -> None:
    """Return all free pages of the heap, which takes milliseconds; no effect outside glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
