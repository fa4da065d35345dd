"""How this process takes memory from the system: large tensors of a step are used again.

By default the C library returns what a freed tensor held, and every step pays again for the pages:
on a virtual machine up to a third of the time of a forward pass on a CPU.
"""

import ctypes
import logging

logger = logging.getLogger(__name__)

# From malloc.h; the largest values that mallopt takes.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_MAX_MMAP_THRESHOLD = 32 * 2**20


def keep_freed_memory() -> None:
    """Let malloc keep what is freed, up to tensors of 32 MB; without effect outside glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if not (mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD) and mallopt(_M_TRIM_THRESHOLD, _NEVER)):
        logger.warning("malloc does not take settings; steps may be slower")
