"""Setting of malloc that returns the memory of large bodies to the system once they are handled.

By default the C library raises the size from which it maps blocks apart when such a block is freed,
up to 32 MiB. The next bodies then lie in the heap, between what stays.
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
