"""Settings of malloc that let the memory of large freed tensors be reused by the next step.

By default the C library returns it to the system, and every step pays for new page faults: on a
virtual machine up to a third of the time of a forward pass on a CPU.
"""

import ctypes
import logging

logger = logging.getLogger(__name__)

# Parameters from malloc.h and the largest values that mallopt accepts.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_MAX_MMAP_THRESHOLD = 32 * 2**20


def keep_freed_memory() -> None:
    """Let malloc keep freed memory, for tensors of up to 32 MiB; no effect outside glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if not (mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD) and mallopt(_M_TRIM_THRESHOLD, _NEVER)):
        logger.warning("malloc does not take settings; steps may be slower")
