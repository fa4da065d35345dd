"""What crosses between the host and the device in a step: up without waiting, down at once.

On a GPU the host runs ahead of the device. A plain copy to it or a list as an index would wait for
all that has been asked for so far.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def is_remote(device: torch.device) -> bool:
    """Whether the host has to wait for what the device computes, and to fetch it."""
    return device.type != "cpu"


def pinned(values: Tensor, device: torch.device) -> Tensor:
    """Put into memory that a CUDA device reads by itself: a copy from there need not be waited for,
    and torch keeps the memory until it is done."""
    return values.pin_memory() if device.type == "cuda" else values


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Return `values` on the device, without waiting for it; a CPU has them already."""
    return pinned(values, device).to(device, non_blocking=True)


def rows_at(rows: Sequence[int], device: torch.device) -> slice | Tensor:
    """Return an index for these rows, which rise: where they lie together it copies nothing."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(rows[0], rows[-1] + 1)
    return upload(torch.tensor(rows), device)


def read_back(packed: Tensor) -> Tensor:
    """Return a tensor on the host: in all that follows the forward pass, the wait of a step."""
    return packed.cpu()
