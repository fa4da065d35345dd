"""Forward passes of a network whose weights have shapes, but no numbers.

The weights are on torch's meta device, the tokens on the CPU. Whatever is computed from tokens and
positions alone, such as masks and the choice of experts, is computed; a product with weights is
zero, in the shape that it would have.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_META, _CPU = torch.device("meta"), torch.device("cpu")


def activations_device(model: Any) -> torch.device:
    """Return the device on which a network takes its tokens: that of its weights, if they exist."""
    device: torch.device = model.device
    return _CPU if device == _META else device


class DryRun(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Mode of torch in which operators of weights and activations return zeros."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute an operator of activations alone; find the shape alone of any other."""
        values = (tuple(args), dict(kwargs or {}))
        found = list(_tensors(values))
        devices = {tensor.device for tensor in found}
        if _META not in devices:
            # What would be sent to the device of some weight stays.
            args, kwargs = tree_map(_to_cpu, values) if found else values
            return func(*args, **kwargs)
        if func._schema.is_mutable:
            return args[0]
        args, kwargs = tree_map(_to_meta, values)
        shaped = func(*args, **kwargs)
        # A number is part of the weights that it is multiplied by.
        has_activations = any(tensor.device == _CPU and tensor.ndim for tensor in found)
        return (
            tree_map(_zeros, shaped) if has_activations or _CPU in tree_leaves(values) else shaped
        )


def _tensors(values: Any) -> Iterator[Tensor]:
    return (value for value in tree_leaves(values) if isinstance(value, Tensor))


def _to_cpu(value: Any) -> Any:
    return _CPU if isinstance(value, torch.device) else value


def _to_meta(value: Any) -> Any:
    if isinstance(value, torch.device):
        return _META
    return value.to(_META) if isinstance(value, Tensor) else value


def _zeros(value: Any) -> Any:
    return torch.zeros(value.shape, dtype=value.dtype) if isinstance(value, Tensor) else value
