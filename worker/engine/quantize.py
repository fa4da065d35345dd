"""Weight-only int8: linear layers keep one byte a weight and a scale for each output.

Activations keep their precision, and what computes fastest depends on the size of a layer:

- large layers on CPU: FBGEMM's integer kernel. It takes 7 bits of an activation (with 8, AVX2
  would saturate), so each row goes in twice, its leading 7 bits and the 7 after them: the rounding
  left is 2^-14 of the row's largest value, finer than bfloat16's 2^-9 of each.
- small layers on CPU: torch's weight-only kernel, with activations in bfloat16, since the
  preparation for FBGEMM would take longer than the product. For many rows, as of a prompt, that
  kernel is slow, and the weights are expanded.
- on other devices the weights are expanded for each product, which saves memory but no time.

A row gets the same result in any batch from large layers; from small ones up to the rounding of
bfloat16.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from worker.engine.interface import UnsupportedModelError

_LARGE = 1 << 19
"""Weights from which on FBGEMM is faster; measured with AVX2."""

_MANY_ROWS = 32
"""Rows above which a small layer is faster with its weights expanded; measured with AVX2."""

_LEVELS = 63.0
"""7 bits with a sign."""
_ZERO_POINT = 64
_NEXT = 2 * _LEVELS
"""What is left after rounding to 7 bits is at most half a level: so much it is magnified."""


def quantize_linear_layers(model: nn.Module) -> None:
    """Put an int8 layer in the place of every linear one, output layer included.

    Raises `UnsupportedModelError` for a model that has none. Embeddings stay as they are, also
    those that share their weights with the output layer.
    """
    linear = [(name, each) for name, each in model.named_modules() if type(each) is nn.Linear]
    if not linear:
        raise UnsupportedModelError("it has no linear layers to keep in int8")
    for name, layer in linear:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, _quantized(layer))


def _quantized(layer: nn.Linear) -> nn.Module:
    weight = layer.weight.detach().float()
    scales = weight.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny) / 127
    quantized = (weight / scales[:, None]).round_().to(torch.int8)
    has_fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    if weight.device.type != "cpu" or weight.numel() < _LARGE or not has_fbgemm:
        is_cpu = weight.device.type == "cpu"
        return _SmallLinear(quantized, scales, layer.bias, _MANY_ROWS if is_cpu else 0)
    return _LargeLinear(quantized, scales, layer.bias)


class _Int8Linear(nn.Module):
    """Adds the bias and keeps type and shape; how to multiply is for the subclasses to say."""

    def __init__(self, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        rows = activations.reshape(-1, activations.shape[-1])
        output = self.multiply(rows).to(activations.dtype)
        if self.bias is not None:
            output = output + self.bias
        return output.reshape(*activations.shape[:-1], output.shape[-1])

    def multiply(self, rows: Tensor) -> Tensor:
        """Map [rows, inputs] to [rows, outputs]."""
        raise NotImplementedError


class _SmallLinear(_Int8Linear):
    def __init__(
        self, weight: Tensor, scales: Tensor, bias: Tensor | None, max_packed_rows: int
    ) -> None:
        super().__init__(bias)
        self._weight, self._scales = weight, scales
        self._short_scales = scales.bfloat16()
        self._max_packed_rows = max_packed_rows

    def multiply(self, rows: Tensor) -> Tensor:
        if len(rows) > self._max_packed_rows:
            return (rows @ self._weight.to(rows.dtype).t()) * self._scales.to(rows.dtype)
        return torch._weight_int8pack_mm(rows.bfloat16(), self._weight, self._short_scales)


class _LargeLinear(_Int8Linear):
    def __init__(self, weight: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        super().__init__(bias)
        self._packed = _pack(weight, scales)
        self._product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default

    def multiply(self, rows: Tensor) -> Tensor:
        rows = rows.float()
        peaks = torch.linalg.vector_norm(rows, float("inf"), 1, keepdim=True)
        peaks.clamp_(min=torch.finfo(torch.float32).tiny)
        rest = rows * (_LEVELS / peaks)
        leading = rest.round()
        rest.sub_(leading).mul_(_NEXT)
        products = self._product(torch.cat((leading, rest)), 1.0, _ZERO_POINT, self._packed)
        output, rest_output = products.chunk(2)
        summed: Tensor = output.add_(rest_output, alpha=1 / _NEXT).mul_(peaks * (1 / _LEVELS))
        return summed


def _pack(weight: Tensor, scales: Tensor) -> Any:
    """The weights in FBGEMM's layout."""
    torch.backends.quantized.engine = "fbgemm"
    with warnings.catch_warnings():
        # The layout is only to be had from a quantised tensor, a type that torch means to drop.
        warnings.filterwarnings("ignore", message=".*quantized tensor creation.*")
        zero_points = torch.zeros(len(scales), dtype=torch.long)
        tensor = torch._make_per_channel_quantized_tensor(weight, scales.double(), zero_points, 0)
    return torch.ops.quantized.linear_prepack(tensor, None)
