"""Classification of errors in a step: the device is out of memory, or it is lost."""

import traceback

import torch

_FULL = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
_LOST = ("CUDA error", "HIP error", "CUBLAS_STATUS", "CUDNN_STATUS", "Triton Error")


def is_out_of_memory(error: Exception) -> bool:
    """Return True if the same step may succeed with fewer rows or tokens."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def is_device_lost(error: Exception) -> bool:
    """Return True if the device is unusable in this process from now on."""
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _LOST)


def release_memory(error: Exception) -> None:
    """Free the tensors that the failed step still references, and torch's cached GPU memory."""
    traceback.clear_frames(error.__traceback__)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
