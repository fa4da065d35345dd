"""The output layer of a large vocabulary on a CPU, multiplied a part at a time.

For some rows and tens of thousands of outputs the float32 product of torch's CPU library is slow:
at 32 rows of 49,152 scores it takes 70 ms, in parts of 512 outputs 42 (AVX2, one thread). A part's
weights fit a processor's cache.
"""

from typing import Any

import torch
from torch import Tensor, nn

_WIDE = 8192
"""Outputs from which on parts are faster."""
_PART = 512


def split_output_layer(model: Any) -> None:
    """Put a `WideLinear` in the place of a wide float32 output layer; it keeps the same weights."""
    layer = model.get_output_embeddings()
    if type(layer) is not nn.Linear or layer.out_features < _WIDE:
        return
    if layer.weight.device.type != "cpu" or layer.weight.dtype != torch.float32:
        return
    name = next(name for name, each in model.named_modules() if each is layer)
    owner, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(owner), attribute, WideLinear(layer))


class WideLinear(nn.Module):
    """Computes what an `nn.Linear` does, up to the order of its sums."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        rows = activations.reshape(-1, activations.shape[-1])
        if len(rows) == 1:  # nothing to gain: all the time goes into reading the weights
            return nn.functional.linear(activations, self.weight, self.bias)
        output = rows.new_empty(len(rows), len(self.weight))
        parts = zip(torch.split(self.weight, _PART), torch.split(output, _PART, 1), strict=True)
        for part, columns in parts:
            torch.mm(rows, part.t(), out=columns)
        if self.bias is not None:
            output += self.bias
        return output.reshape(*activations.shape[:-1], len(self.weight))
