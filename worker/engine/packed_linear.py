"""Linear layers on a CPU, their weights stored in the layout that oneDNN multiplies them in.

A plain `nn.Linear` keeps them in rows, and the matrix library rearranges them for every product.
For the few rows of a decoding step that takes as long as the product itself (bench/RESULTS.md).
"""

from typing import Any

import torch
from torch import Tensor, nn

_onednn: Any = torch.backends.mkldnn


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
        self._multiply = torch.ops.mkldnn._linear_pointwise.default

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        output: Tensor = self._multiply(activations, self._weight, self._bias, "none", [], "")
        return output
