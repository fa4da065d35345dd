"""Weight-only int8: linear layers keep one byte a weight and a scale for each output.

Activations keep their type. How a layer computes depends on how many rows it is given:

- few, as when single streams decode, on a CPU: a loop that reads the bytes as they are
  (`int8_kernel`), since reading weights is what so few rows wait for.
- more, as of a prompt: the weights are expanded, on a CPU a piece at a time that stays in its
  caches. On other devices this saves memory but no time.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from worker.engine.compiled import BITS, share
from worker.engine.int8_kernel import int8_kernel
from worker.engine.interface import UnsupportedModelError

Array = np.ndarray[Any, Any]

_FEW_ROWS = 8
"""Up to so many the loop takes less time than expanding; measured with AVX-512."""

_WEIGHTS_PER_THREAD = 1 << 20
"""Weights that are worth a thread: some twentieth of a millisecond."""

_PIECE_WEIGHTS = 1 << 20
"""Weights that are expanded at a time on a CPU: 2 or 4 MB."""


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
        self._multiply_few: Callable[[Tensor, Tensor], None] | None = None
        if weight.device.type == "cpu" and weight.dtype in BITS:
            bias = torch.zeros(len(weight)) if self._bias is None else self._bias.float()
            arrays = self._weight.numpy(), self._scales.float().numpy(), bias.numpy()
            self._multiply_few = partial(_multiply_bytes, *arrays)

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
        output = activations.new_empty(*activations.shape[:-1], num_outputs)
        if self._multiply_few and activations.numel() <= _FEW_ROWS * num_inputs:
            self._multiply_few(activations, output)
        else:
            rows = activations.reshape(-1, num_inputs)
            self._multiply_expanded(rows, output.view(-1, num_outputs))
        return output

    def _multiply_expanded(self, rows: Tensor, output: Tensor) -> None:
        for piece in self._pieces():
            product = linear(rows, self._weight[piece].to(rows.dtype))
            torch.mul(product, self._scales[piece], out=output[:, piece])
        if self._bias is not None:
            output += self._bias

    def _pieces(self) -> Iterator[slice]:
        """Cut the outputs into pieces whose weights, expanded, stay in a processor's caches."""
        num_outputs, num_inputs = self._weight.shape
        is_cpu = self._weight.device.type == "cpu"
        size = max(1, _PIECE_WEIGHTS // num_inputs) if is_cpu else num_outputs
        return (slice(start, start + size) for start in range(0, num_outputs, size))


def _multiply_bytes(
    weight: Array, scales: Array, bias: Array, activations: Tensor, output: Tensor
) -> None:
    """Fill output [..., outputs] from activations [..., inputs]."""
    bits = BITS[activations.dtype]
    # Shapes by numpy: torch takes as long for one as the loop for a small layer.
    rows = activations.contiguous().view(bits).numpy().reshape(-1, weight.shape[1])
    outputs = output.view(bits).numpy().reshape(-1, weight.shape[0])
    work = partial(int8_kernel(bits is torch.uint16), rows, weight, scales, bias, outputs)
    share(work, weight.size // _WEIGHTS_PER_THREAD)
