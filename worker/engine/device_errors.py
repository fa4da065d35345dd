"""What an error in a step says of the device: that its memory is full, or that it is lost."""

import traceback

import torch

_FULL = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
_LOST = ("CUDA error", "HIP error", "CUBLAS_STATUS", "CUDNN_STATUS", "Triton Error")


def is_out_of_memory(error: Exception) -> bool:
    """Whether the same step may succeed with fewer rows or tokens."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def is_device_lost(error: Exception) -> bool:
    """Whether nothing can be computed in this process any more: such errors stay."""
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _LOST)


def release_memory(error: Exception) -> None:
    """Let go of what the failed step still holds, and of what torch keeps for reuse."""
    traceback.clear_frames(error.__traceback__)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
