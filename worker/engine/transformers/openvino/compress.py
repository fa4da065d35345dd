"""Quantization of weights to 8 or 4 bits.

Quantized weights are expressed in OpenVINO's decompression pattern, (level - zero point) * scale,
which the CPU plugin multiplies by without decompressing it in memory. In 8 bits, a scale and a zero
point belong to each output of a layer (or row of an embedding); in 4 bits, to each group of
consecutive inputs of an output. Embeddings and the output layer stay in 8 bits, as 4 bits lose most
accuracy there.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import Tensor

Bits = Literal[8, 4]

GROUP_SIZE = 32
"""Inputs that share a scale in 4 bits."""

_MIN_WEIGHTS = 1024
"""Weights in the smallest constant that is quantized; smaller ones would gain nothing."""

_RANGE_FRACTIONS = {8: (1.0,), 4: (1.0, 0.92, 0.84, 0.76, 0.68)}
"""Fractions of the range of the weights that are tried as range of the levels, by number of bits.
With few levels it pays to clip the outermost weights."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Quantized weights; `(levels - zero_points) * scales` approximates the original ones."""

    levels: NDArray[Any]
    """[outputs, groups, inputs of a group], uint8."""
    zero_points: NDArray[Any]
    """[outputs, groups, 1], uint8."""
    scales: NDArray[Any]
    """[outputs, groups, 1], float32."""

    @classmethod
    def of(cls, weights: Tensor, bits: Bits, group_size: int) -> "Levels":
        """Quantize weights [outputs, inputs] with the least squared error of the ranges tried.

        The error is minimized for each group. The number of inputs must be a multiple of
        `group_size`.
        """
        grouped = weights.reshape(len(weights), -1, group_size)
        best = _round_to_levels(
            grouped, bits, *_compute_steps(grouped, bits, _RANGE_FRACTIONS[bits][0], torch.floor)
        )
        for fraction in _RANGE_FRACTIONS[bits]:
            for rounding in (torch.floor, torch.ceil):
                found = _round_to_levels(
                    grouped, bits, *_compute_steps(grouped, bits, fraction, rounding)
                )
                is_better = found[0] < best[0]
                best = [torch.where(is_better, *pair) for pair in zip(found, best, strict=True)]
        _, levels, zero_points, scales = best
        levels, zero_points = levels.to(torch.uint8), zero_points.to(torch.uint8)
        return cls(levels.numpy(), zero_points.numpy(), scales.numpy())


def _compute_steps(
    grouped: Tensor, bits: Bits, fraction: float, rounding: Any
) -> tuple[Tensor, Tensor]:
    """Return zero points and scales [outputs, groups, 1]; 0 is always one of the levels."""
    least = grouped.amin(2, keepdim=True).clamp(max=0) * fraction
    greatest = grouped.amax(2, keepdim=True).clamp(min=0) * fraction
    num_steps = 2**bits - 1
    scales = (greatest - least) / num_steps
    scales = torch.where(scales == 0, 1.0, scales)
    return rounding(-least / scales).clamp(0, num_steps), scales


def _round_to_levels(
    grouped: Tensor, bits: Bits, zero_points: Tensor, scales: Tensor
) -> list[Tensor]:
    """Return squared errors [outputs, groups, 1], levels, zero points and scales."""
    levels = torch.round(grouped / scales).add_(zero_points).clamp_(0, 2**bits - 1)
    errors = (levels - zero_points).mul_(scales).sub_(grouped).square_().sum(2, keepdim=True)
    return [errors, levels, zero_points, scales]


def compress_weights(graph: openvino.Model, bits: Bits, vocab_size: int) -> None:
    """Replace the weights of all linear layers and embeddings by quantized ones.

    They are replaced one at a time, so that at most one is in memory as float32. Raises
    `ValueError` for a graph that has none.
    """
    replacements: dict[Any, Any] = {}
    for node in graph.get_ordered_ops():
        port = _find_weights_port(node)
        constant = None if port is None else _find_constant(node.input_value(port))
        if constant is None or constant.get_data().size < _MIN_WEIGHTS:
            continue
        # An embedding may share its weights with the output layer.
        name = constant.get_friendly_name()
        if name not in replacements:
            is_outermost = constant.get_output_shape(0)[0] == vocab_size
            replacements[name] = _compress(constant, 8 if is_outermost else bits)
        node.input(port).replace_source_output(replacements[name].output(0))
    if not replacements:
        raise ValueError("it has no weights that could be kept in fewer bits")
    graph.validate_nodes_and_infer_types()


def _find_weights_port(node: Any) -> int | None:
    """Return the index of a node's input that is a matrix [outputs, inputs], or None."""
    if node.get_type_name() == "MatMul":
        return 1 if node.get_attributes()["transpose_b"] else None
    return 0 if node.get_type_name() == "Gather" else None


def _find_constant(source: Any) -> Any:
    """Return the constant matrix that an input comes from, directly or converted, or None."""
    node = source.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    is_matrix = node.get_type_name() == "Constant" and len(node.get_output_shape(0)) == 2
    is_float = is_matrix and node.get_output_element_type(0).is_real()
    return node if is_float else None


def _compress(constant: Any, bits: Bits) -> Any:
    weights = torch.from_numpy(_to_float32(constant))
    num_inputs = weights.shape[1]
    if bits == 4 and num_inputs % GROUP_SIZE == 0:
        return _build_pattern(Levels.of(weights, 4, GROUP_SIZE), openvino.Type.u4)
    return _build_pattern(Levels.of(weights, 8, num_inputs), openvino.Type.u8)


def _to_float32(constant: Any) -> NDArray[Any]:
    data: NDArray[Any] = constant.get_data()
    if constant.get_output_element_type(0) == openvino.Type.bf16:
        # numpy has no bfloat16, which is the upper half of a float32.
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return data.astype(np.float32)


def _build_pattern(rounded: Levels, level_type: Any) -> Any:
    num_outputs, num_groups, group_size = rounded.levels.shape
    parts = (rounded.levels, rounded.zero_points, rounded.scales)
    if num_groups == 1:
        parts = tuple(part[:, 0] for part in parts)  # type: ignore[assignment]
    levels, zero_points, scales = parts
    converted = (
        ops.convert(_pack_levels(part, level_type), openvino.Type.f32)
        for part in (levels, zero_points)
    )
    weights = ops.multiply(ops.subtract(*converted), ops.constant(scales))
    if num_groups == 1:
        return weights
    shape = np.array([num_outputs, num_groups * group_size])
    return ops.reshape(weights, shape, special_zero=False)


def _pack_levels(levels: NDArray[Any], level_type: Any) -> Any:
    if level_type == openvino.Type.u8:
        return ops.constant(levels)
    flat = levels.reshape(-1)
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    pairs = flat[0::2] | flat[1::2] << 4  # must live until the constant has copied it
    tensor = openvino.Tensor(pairs, openvino.Shape(levels.shape), level_type)
    return ops.constant(tensor, shared_memory=False)
