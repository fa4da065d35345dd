"""Linear layers on a CPU, their weights stored in the layout that oneDNN multiplies them in.

A plain `nn.Linear` keeps them in rows, and the matrix library rearranges them for every product.
For the few rows of a decoding step that takes as long as the product itself (bench/RESULTS.md).
"""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn

_onednn: Any = torch.backends.mkldnn

_LEAST_ROWS = {torch.float32: 4}
"""oneDNN takes longer for fewer: padding took a step of one row from 47.9 to 42.8 ms (AVX-512). In
bfloat16 it gains 2 %, not worth the copies."""


def pack_linear_layers(model: nn.Module) -> None:
    """Put a `PackedLinear` in the place of every linear layer that oneDNN can compute here.

    An output layer that shares its weights with the embeddings gets its own.
    """
    layers = [(name, each) for name, each in model.named_modules() if type(each) is nn.Linear]
    for name, layer in layers:
        if _can_pack(layer.weight):
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, PackedLinear(layer))


def _can_pack(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or not _onednn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


class PackedLinear(nn.Module):
    """Computes what an `nn.Linear` does, up to the order of its sums."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        # The operators that torch's own compiler calls for a linear layer; any number of rows.
        self._weight: Any = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        self._bias = None if layer.bias is None else layer.bias.detach()
        self._operator = torch.ops.mkldnn._linear_pointwise.default
        self._least_rows = _LEAST_ROWS.get(layer.weight.dtype, 0)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        *shape, num_inputs = activations.shape
        num_rows = prod(shape)
        if not 0 < num_rows < self._least_rows:
            return self._multiply(activations)
        padded = activations.new_zeros(self._least_rows, num_inputs)
        padded[:num_rows] = activations.reshape(num_rows, num_inputs)
        return self._multiply(padded)[:num_rows].view(*shape, -1)

    def _multiply(self, activations: Tensor) -> Tensor:
        output: Tensor = self._operator(activations, self._weight, self._bias, "none", [], "")
        return output
