"""Copies between host and device in a step: asynchronous uploads and a single download.

On a GPU the host runs ahead of the device. A plain copy to it, or a list as an index, would block
until the device has finished all queued work.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def is_remote(device: torch.device) -> bool:
    """Return True if results must be copied from the device, so that the host has to wait."""
    return device.type != "cpu"


def pin(values: Tensor, device: torch.device) -> Tensor:
    """Return `values` in page-locked (pinned) memory if the device is CUDA.

    Copies from there are asynchronous; torch keeps the memory alive until they are done.
    """
    return values.pin_memory() if device.type == "cuda" else values


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Copy `values` to the device asynchronously; on a CPU return them as they are."""
    return pin(values, device).to(device, non_blocking=True)


def make_row_index(rows: Sequence[int], device: torch.device) -> slice | Tensor:
    """Return an index for ascending rows; contiguous rows give a slice, which copies nothing."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(rows[0], rows[-1] + 1)
    return upload(torch.tensor(rows), device)


def read_back(packed: Tensor) -> Tensor:
    """Copy a tensor to the host: the only wait for the device after the forward pass."""
    return packed.cpu()
