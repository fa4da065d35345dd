"""Computation in float32 with 16-bit weights, without a second copy of the weights.

The traced network keeps its weights in 16 bits and converts each where it is used. OpenVINO treats
them as compressed weights, and computes in the precision that its properties select.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from worker.engine.transformers.model.quantized.weight import PackedWeight

_HALF_TYPES = (torch.bfloat16, torch.float16)


def compute_in_float32(model: nn.Module) -> None:
    """Convert linear and embedding weights at each use, and all other numbers permanently."""
    for module in model.modules():
        forward = _FORWARDS.get(type(module))
        weight: Any = getattr(module, "weight", None)
        if forward is not None and weight.dtype in _HALF_TYPES:
            # Bound to the instance, so that the class is unchanged for other models.
            module.forward = forward.__get__(module)
            _convert_numbers(module, excluded="weight")
        else:
            _convert_numbers(module)


def _convert_numbers(module: nn.Module, excluded: str = "") -> None:
    for name, parameter in list(module.named_parameters(recurse=False)):
        if name == excluded or parameter.dtype not in _HALF_TYPES:
            continue
        if isinstance(parameter, PackedWeight):
            setattr(module, name, nn.Parameter(parameter.float(), requires_grad=False))
        else:
            parameter.data = parameter.data.float()
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.dtype in _HALF_TYPES:
            setattr(module, name, buffer.float())


def _linear_forward(self: Any, rows: Tensor) -> Tensor:
    return functional.linear(rows, self.weight.float(), self.bias)


def _conv1d_forward(self: Any, rows: Tensor) -> Tensor:
    output: Tensor = rows @ self.weight.float()
    return output if self.bias is None else output + self.bias


def _embedding_forward(self: Any, token_ids: Tensor) -> Tensor:
    return functional.embedding(token_ids, self.weight).float()


_FORWARDS: dict[type, Callable[..., Tensor]] = {
    nn.Linear: _linear_forward,
    nn.Embedding: _embedding_forward,
    Conv1D: _conv1d_forward,
}
