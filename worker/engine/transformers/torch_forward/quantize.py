"""Int8 linear layers for the torch forward pass: one byte per weight, one scale per output.

Activations keep their type, and weights are converted to it before they are multiplied, which saves
memory but no time.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from worker.engine.interface import UnsupportedModelError

_READ_BY_NETWORKS = frozenset({"dt_proj"})
"""Names of small layers that networks do not call: Mamba multiplies by their weights itself."""
_SLICE_WEIGHTS = 1 << 20
"""Weights that are converted at a time on a CPU: 2 or 4 MB, which fit in its caches."""


def quantize_linear_layers(model: nn.Module, parts: Iterable[nn.Module] | None = None) -> None:
    """Replace every linear layer in these parts of a model, or in all of it, by an `Int8Linear`.

    Raises `UnsupportedModelError` if there is none. Embeddings stay as they are, even those that
    share their weights with the output layer, and so do layers whose weights a network reads by
    itself.
    """
    within = {module for part in parts or (model,) for module in part.modules()}
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if type(module) is nn.Linear
        and module in within
        and name.rpartition(".")[2] not in _READ_BY_NETWORKS
    ]
    if not layers:
        raise UnsupportedModelError("it has no linear layers to keep in int8")
    for name, layer in layers:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, Int8Linear(layer))


class Int8Linear(nn.Module):
    """Equivalent of an `nn.Linear` with weights rounded to 255 levels for each output."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self._weight = torch.empty_like(weight, dtype=torch.int8)
        self._scales = weight.new_empty(len(weight))
        self.weight = weight.new_empty(0)  # of which some networks read the type and the device
        self._bias = None if layer.bias is None else layer.bias.detach()
        for outputs in self._slices():
            self._quantize(weight, outputs)

    def _quantize(self, weight: Tensor, outputs: slice) -> None:
        full = weight[outputs].float()
        scales = full.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny) / 127
        # Levels are computed from the scales as rounded to the layer's type, so that this rounding
        # adds no error.
        self._scales[outputs] = scales
        levels = (full / self._scales[outputs, None].float()).round_()
        self._weight[outputs] = levels.clamp_(-127, 127)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        num_outputs, num_inputs = self._weight.shape
        rows = activations.reshape(-1, num_inputs)
        output = rows.new_empty(len(rows), num_outputs)
        for outputs in self._slices():
            product = linear(rows, self._weight[outputs].to(rows.dtype))
            torch.mul(product, self._scales[outputs], out=output[:, outputs])
        if self._bias is not None:
            output += self._bias
        return output.view(*activations.shape[:-1], num_outputs)

    def _slices(self) -> Iterator[slice]:
        """Return slices of the outputs, which are converted one at a time."""
        num_outputs, num_inputs = self._weight.shape
        is_cpu = self._weight.device.type == "cpu"
        size = max(1, _SLICE_WEIGHTS // num_inputs) if is_cpu else num_outputs
        return (slice(start, start + size) for start in range(0, num_outputs, size))
