"""Weights that are quantised in the checkpoint, as constants of a graph in the same few bits.

The network is traced with zeros in their place, of which the operating system provides no memory.
Each of these constants is then replaced by OpenVINO's decompression pattern, which the CPU plugin
multiplies by without decompressing it in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import Tensor, nn

from worker.engine.transformers.model.quantized.matrix import QuantizedMatrix, pack_pairs
from worker.engine.transformers.model.quantized.weight import PackedWeight

_TYPES = {
    "u4": openvino.Type.u4,
    "u8": openvino.Type.u8,
    "f4e2m1": openvino.Type.f4e2m1,
    "f8e4m3": openvino.Type.f8e4m3,
    "f8e5m2": openvino.Type.f8e5m2,
}
_MIDDLE = 128
_SIGNED = {"u4": (openvino.Type.i4, 0x88), "u8": (openvino.Type.i8, 0x80)}
"""Types of levels whose zero point is their middle, and what turns the one into the other."""


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Zeros that stand for packed weights while a network is traced."""

    weights: Mapping[int, tuple[Tensor, PackedWeight]]
    """The zeros, and the weights, by the address of the zeros."""


def replace_by_zeros(model: nn.Module) -> Placeholders:
    """Replace all packed weights of a network by zeros."""
    found: dict[int, tuple[Tensor, PackedWeight]] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, PackedWeight):
                zeros = torch.zeros(parameter.shape, dtype=parameter.dtype)
                setattr(module, name, nn.Parameter(zeros, requires_grad=False))
                found[zeros.data_ptr()] = zeros, parameter
    return Placeholders(found)


def insert_packed(graph: openvino.Model, placeholders: Placeholders) -> None:
    """Replace the zeros in a graph by the weights that they stand for.

    Raises `ValueError` unless each is found.
    """
    left = dict(placeholders.weights)
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "Constant" or len(node.get_output_shape(0)) < 2:
            continue
        found = left.pop(node.get_data().ctypes.data, None)
        if found is not None:
            _replace(node, found[1])
    if left:
        raise ValueError(f"{len(left)} of its quantised weights are not in the graph")
    graph.validate_nodes_and_infer_types()


def _replace(node: Any, weight: PackedWeight) -> None:
    users = _users_after(node, "Convert")
    if weight.is_transposed:
        users = _users_after(users[0].get_source_output().get_node(), "Transpose")
    matrix = weight.matrix
    if matrix.order is not None and not all(_is_product(user) for user in users):
        raise ValueError("a quantised weight with an order of inputs is not multiplied")
    pattern = _build_pattern(matrix)
    for user in users:
        user.replace_source_output(pattern.output(0))
        if matrix.order is not None:
            product = user.get_node()
            order = ops.constant(matrix.order.numpy().astype(np.int32))
            rows = ops.gather(product.input_value(0), order, ops.constant(np.int32(-1)))
            product.input(0).replace_source_output(rows.output(0))


def _users_after(node: Any, kind: str) -> list[Any]:
    """Return the inputs that a node goes to, or those that its only user of a kind goes to."""
    users = list(node.output(0).get_target_inputs())
    if len(users) == 1 and users[0].get_node().get_type_name() == kind:
        users = list(users[0].get_node().output(0).get_target_inputs())
    return users


def _is_product(user: Any) -> bool:
    node = user.get_node()
    return bool(
        node.get_type_name() == "MatMul"
        and user.get_index() == 1
        and node.get_attributes()["transpose_b"]
    )


def _build_pattern(matrix: QuantizedMatrix) -> Any:
    """Return a node for the weights, with the inputs in the order of the levels."""
    if matrix.level_type == "f4e2m1":
        matrix = _as_integers(matrix)
    *others, num_inputs = matrix.shape
    num_groups = matrix.scales.shape[-1]
    if num_inputs != num_groups * matrix.group_size:  # the last group is smaller
        return ops.constant(_array(matrix.dequantize_columns(torch.float32)))
    is_grouped = num_groups > 1
    grouped = [*others, num_groups, matrix.group_size] if is_grouped else list(matrix.shape)
    aside = [*others, num_groups, 1] if is_grouped else [*others, 1]
    levels, zeros = _levels(matrix, grouped), _zero_points(matrix, aside)
    weights = ops.convert(levels, openvino.Type.f32)
    if zeros is not None:
        weights = ops.subtract(weights, ops.convert(zeros, openvino.Type.f32))
    weights = ops.multiply(weights, ops.constant(_array(matrix.scales.float()).reshape(aside)))
    if not is_grouped:
        return weights
    return ops.reshape(weights, np.array([*others, num_inputs]), special_zero=False)


def _as_integers(matrix: QuantizedMatrix) -> QuantizedMatrix:
    """Return a matrix with levels of 8 bits for one of f4e2m1, which experts are not multiplied by.

    Doubled, its numbers are integers, which the zero point makes positive.
    """
    units = replace(matrix, scales=torch.ones_like(matrix.scales, dtype=torch.float32))
    doubled = units.dequantize_columns(torch.float32).mul_(2).add_(_MIDDLE)
    return replace(
        matrix,
        levels=doubled.to(torch.uint8),
        level_type="u8",
        scales=matrix.scales.float() / 2,
        zero_point=_MIDDLE,
    )


def _levels(matrix: QuantizedMatrix, shape: list[int]) -> Any:
    levels, kind = _array(matrix.levels.view(torch.uint8)), _TYPES[matrix.level_type]
    if matrix.zero_points is None and matrix.level_type in _SIGNED:
        kind, flips = _SIGNED[matrix.level_type]
        levels = levels ^ np.uint8(flips)
    return _constant(levels, kind, shape)


def _zero_points(matrix: QuantizedMatrix, shape: list[int]) -> Any:
    if matrix.zero_points is None:
        return None
    flat = matrix.zero_points.flatten()
    if matrix.level_type == "u4":
        flat = pack_pairs(torch.cat([flat, flat.new_zeros(len(flat) % 2)]))
    return _constant(_array(flat), _TYPES[matrix.level_type], shape)


def _constant(content: NDArray[Any], kind: Any, shape: list[int]) -> Any:
    tensor = openvino.Tensor(content.reshape(-1), openvino.Shape(shape), kind)
    return ops.constant(tensor, shared_memory=False)


def _array(tensor: Tensor) -> NDArray[Any]:
    found: NDArray[Any] = tensor.detach().contiguous().numpy()
    return found
