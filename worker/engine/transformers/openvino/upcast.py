"""Lets a network with 16-bit weights compute in float32 without a second copy of them.

So what is traced of it keeps its weights in 16 bits and widens each where it is used: OpenVINO
takes that for compressed weights, and computes in the precision it is told to.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

_SHORT = (torch.bfloat16, torch.float16)


def compute_in_float32(model: nn.Module) -> None:
    """Widen weights of linear layers and embeddings at each use, all other numbers for good."""
    for module in model.modules():
        forward = _FORWARDS.get(type(module))
        weight: Any = getattr(module, "weight", None)
        if forward is not None and weight.dtype in _SHORT:
            # Bound to the instance: what its class does stays as it is for others.
            module.forward = forward.__get__(module)
            _widen(module, but="weight")
        else:
            _widen(module)


def _widen(module: nn.Module, but: str = "") -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if name != but and parameter.dtype in _SHORT:
            parameter.data = parameter.data.float()
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.dtype in _SHORT:
            setattr(module, name, buffer.float())


def _linear(self: Any, rows: Tensor) -> Tensor:
    return functional.linear(rows, self.weight.float(), self.bias)


def _transposed(self: Any, rows: Tensor) -> Tensor:
    output: Tensor = rows @ self.weight.float()
    return output if self.bias is None else output + self.bias


def _embedding(self: Any, token_ids: Tensor) -> Tensor:
    return functional.embedding(token_ids, self.weight).float()


_FORWARDS: dict[type, Callable[..., Tensor]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    Conv1D: _transposed,
}
