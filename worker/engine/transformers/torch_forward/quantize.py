"""Linear layers in int8 for torch's forward pass: a byte a weight, a scale for each output.

Activations keep their type, and weights are widened before they are multiplied: it saves memory and
no time.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from worker.engine.interface import UnsupportedModelError

_PIECE_WEIGHTS = 1 << 20
"""Weights that are widened at a time on a CPU: 2 or 4 MB, which stay in its caches."""


def quantize_linear_layers(model: nn.Module) -> None:
    """Put an `Int8Linear` in the place of every linear layer, output layer included.

    Raises `UnsupportedModelError` for a model that has none. Embeddings stay as they are, also
    those that share their weights with the output layer.
    """
    layers = [(name, each) for name, each in model.named_modules() if type(each) is nn.Linear]
    if not layers:
        raise UnsupportedModelError("it has no linear layers to keep in int8")
    for name, layer in layers:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, Int8Linear(layer))


class Int8Linear(nn.Module):
    """Computes what an `nn.Linear` does with weights rounded to 255 levels for each output."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self._weight = torch.empty_like(weight, dtype=torch.int8)
        self._scales = weight.new_empty(len(weight))
        self._bias = None if layer.bias is None else layer.bias.detach()
        for piece in self._pieces():
            self._round(weight, piece)

    def _round(self, weight: Tensor, piece: slice) -> None:
        full = weight[piece].float()
        scales = full.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny) / 127
        # The scales are of the layer's type as well: no product loses by their being rounded.
        self._scales[piece] = scales
        levels = (full / self._scales[piece, None].float()).round_()
        self._weight[piece] = levels.clamp_(-127, 127)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        num_outputs, num_inputs = self._weight.shape
        rows = activations.reshape(-1, num_inputs)
        output = rows.new_empty(len(rows), num_outputs)
        for piece in self._pieces():
            product = linear(rows, self._weight[piece].to(rows.dtype))
            torch.mul(product, self._scales[piece], out=output[:, piece])
        if self._bias is not None:
            output += self._bias
        return output.view(*activations.shape[:-1], num_outputs)

    def _pieces(self) -> Iterator[slice]:
        """Cut the outputs into pieces that are widened one at a time."""
        num_outputs, num_inputs = self._weight.shape
        is_cpu = self._weight.device.type == "cpu"
        size = max(1, _PIECE_WEIGHTS // num_inputs) if is_cpu else num_outputs
        return (slice(start, start + size) for start in range(0, num_outputs, size))
