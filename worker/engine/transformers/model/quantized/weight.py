"""Tensor that holds a quantised matrix and stands for its weights.

A network's parameter may be one: a linear layer dequantises some of its outputs at a time, an
expert is dequantised when it is selected, and any other operation gets the whole in full.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils._pytree import tree_map

from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix, combine

_SLICE_WEIGHTS = 1 << 20
"""Weights that are dequantised at a time on a CPU: 2 or 4 MB, which fit in its caches."""
_aten = torch.ops.aten


class PackedWeight(Tensor):
    """Weights of which memory holds only a quantised matrix."""

    matrix: QuantizedMatrix
    is_transposed: bool
    """True if the weights are [inputs, outputs], as in gpt-oss."""

    @staticmethod
    def __new__(
        cls, matrix: QuantizedMatrix, dtype: torch.dtype, *, is_transposed: bool = False
    ) -> "PackedWeight":
        """Return weights of type `dtype`, which is that of the computation."""
        shape = list(matrix.shape)
        if is_transposed:
            shape[-2:] = shape[:-3:-1]
        make: Any = Tensor._make_wrapper_subclass
        made: PackedWeight = make(cls, shape, dtype=dtype, device=matrix.levels.device)
        made.matrix = matrix
        made.is_transposed = is_transposed
        return made

    def dequantize_weight(self) -> Tensor:
        """Return the weights in full."""
        weights = self.matrix.dequantize(self.dtype)
        return weights.transpose(-2, -1) if self.is_transposed else weights

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Multiply by a slice of the weights at a time, and select an expert.

        Other functions are left to their operators.
        """
        function = _FUNCTIONS.get(func)
        if function is not None:
            return function(*args, **kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute an operator on the quantised matrix where that is possible, else on the whole."""
        kwargs = kwargs or {}
        operator = _OPERATORS.get(func)
        result = None if operator is None else operator(*args, **kwargs)
        if result is not None:
            return result
        return func(*tree_map(_dequantize, args), **tree_map(_dequantize, kwargs))


def _dequantize(value: Any) -> Any:
    return value.dequantize_weight() if isinstance(value, PackedWeight) else value


def _linear(rows: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
    if not isinstance(weight, PackedWeight) or weight.is_transposed or weight.ndim != 2:
        return linear(rows, _dequantize(weight), _dequantize(bias))
    matrix = weight.matrix
    num_outputs, num_inputs = matrix.shape
    flat = rows.reshape(-1, num_inputs)
    if matrix.order is not None:
        flat = flat.index_select(1, matrix.order)
    output = flat.new_empty(len(flat), num_outputs)
    for outputs in _slices(matrix):
        weights = matrix.rows(outputs).dequantize_columns(flat.dtype)
        output[:, outputs] = flat @ weights.t()
    if bias is not None:
        output += bias
    return output.view(*rows.shape[:-1], num_outputs)


def _slices(matrix: QuantizedMatrix) -> Iterator[slice]:
    """Return slices of the outputs, which are dequantised one at a time."""
    num_outputs, num_inputs = matrix.shape
    is_cpu = matrix.levels.device.type == "cpu"
    size = max(1, _SLICE_WEIGHTS // num_inputs) if is_cpu else num_outputs
    return (slice(start, start + size) for start in range(0, num_outputs, size))


def _alias(weight: PackedWeight) -> PackedWeight:
    return PackedWeight(weight.matrix, weight.dtype, is_transposed=weight.is_transposed)


def _copy(
    weight: PackedWeight,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    **_: Any,
) -> PackedWeight:
    matrix = weight.matrix if device is None else weight.matrix.to(device)
    return PackedWeight(matrix, dtype or weight.dtype, is_transposed=weight.is_transposed)


def _index(weight: PackedWeight, index: Any) -> Tensor:
    is_number = isinstance(index, int) or (isinstance(index, Tensor) and index.ndim == 0)
    if weight.ndim != 3 or not is_number:
        return weight.dequantize_weight()[index]
    matrix = weight.matrix.rows(int(index))
    return PackedWeight(matrix, weight.dtype, is_transposed=weight.is_transposed)


def _transpose(weight: PackedWeight, *axes: int) -> Tensor:
    return weight.dequantize_weight().transpose(*axes)


def _stack(weights: Sequence[Any], dim: int = 0) -> Tensor | None:
    return _join(weights, torch.stack) if dim == 0 else None


def _concatenate(weights: Sequence[Any], dim: int = 0) -> Tensor | None:
    """Join matrices, or several each, by their outputs."""
    if dim % weights[0].ndim != weights[0].ndim - 2:
        return None
    return _join(weights, lambda parts: torch.cat(parts, dim=-2))


def _join(weights: Sequence[Any], join: Callable[[list[Tensor]], Tensor]) -> Tensor | None:
    if not all(isinstance(weight, PackedWeight) and not weight.is_transposed for weight in weights):
        return None
    matrix = combine([weight.matrix for weight in weights], join)
    return None if matrix is None else PackedWeight(matrix, weights[0].dtype)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    linear: _linear,
    # As operators, these would have to return views, which torch has no way to make of these.
    Tensor.__getitem__: _index,
    Tensor.transpose: _transpose,
}
_OPERATORS: dict[Any, Callable[..., Any]] = {
    _aten.detach.default: _alias,
    _aten.alias.default: _alias,
    _aten._to_copy.default: _copy,
    _aten.stack.default: _stack,
    _aten.cat.default: _concatenate,
}
"""Operators that have a quantised result; None as result means that they have not this time."""
