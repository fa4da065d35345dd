"""Weights in 8 or 4 bits: rounded to the nearest of 256 or 16 levels between least and greatest.

Written as OpenVINO's decompression pattern, (level - zero point) * scale, which the CPU plugin
multiplies by as it is. In 8 bits a scale and a zero point belong to each output of a layer (or row
of an embedding), in 4 bits to each group of consecutive inputs of an output.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino
from openvino import opset13 as ops

Array = np.ndarray[Any, Any]
Bits = Literal[8, 4]

GROUP_SIZE = 32
"""Inputs that share a scale in 4 bits."""

_LEAST_WEIGHTS = 1024
"""Smaller constants gain nothing."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Weights as integers; `(levels - zero_points) * scales` is what they stand for."""

    levels: Array
    """[outputs, groups, inputs of a group], uint8."""
    zero_points: Array
    """[outputs, groups, 1], uint8."""
    scales: Array
    """[outputs, groups, 1], float32."""

    @classmethod
    def of(cls, weights: Array, bits: Bits, group_size: int) -> "Levels":
        """Round weights [outputs, inputs]; the inputs must be a multiple of `group_size`."""
        grouped = weights.reshape(len(weights), -1, group_size)
        # 0 is among the levels: a weight of 0 stays 0.
        least = np.minimum(grouped.min(axis=2, keepdims=True), 0)
        greatest = np.maximum(grouped.max(axis=2, keepdims=True), 0)
        num_steps = 2**bits - 1
        scales = (greatest - least) / np.float32(num_steps)
        scales[scales == 0] = 1
        zero_points = np.rint(-least / scales)
        levels = np.clip(np.rint(grouped / scales) + zero_points, 0, num_steps)
        return cls(levels.astype(np.uint8), zero_points.astype(np.uint8), scales)


def compress_weights(graph: openvino.Model, bits: Bits) -> None:
    """Replace the weights of all linear layers and embeddings, one at a time: no more than one of
    them is in memory as float32. Raises `ValueError` for a graph that has none."""
    done: dict[Any, Any] = {}
    for node in graph.get_ordered_ops():
        port = _weights_port(node)
        if port is None:
            continue
        source = node.input_value(port)
        constant = _constant_behind(source)
        if constant is None or constant.get_data().size < _LEAST_WEIGHTS:
            continue
        # An embedding that shares its weights with the output layer.
        name = constant.get_friendly_name()
        if name not in done:
            done[name] = _compressed(constant, bits)
        node.input(port).replace_source_output(done[name].output(0))
    if not done:
        raise ValueError("it has no weights that could be kept in fewer bits")
    graph.validate_nodes_and_infer_types()


def _weights_port(node: Any) -> int | None:
    """The input of a node that holds a matrix [outputs, inputs], if it has one."""
    if node.get_type_name() == "MatMul":
        return 1 if node.get_attributes()["transpose_b"] else None
    return 0 if node.get_type_name() == "Gather" else None


def _constant_behind(source: Any) -> Any:
    """The constant matrix that an input comes from, also if it is widened first."""
    node = source.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    is_matrix = node.get_type_name() == "Constant" and len(node.get_output_shape(0)) == 2
    is_float = is_matrix and node.get_output_element_type(0).is_real()
    return node if is_float else None


def _compressed(constant: Any, bits: Bits) -> Any:
    weights = _as_float32(constant)
    num_inputs = weights.shape[1]
    if bits == 4 and num_inputs % GROUP_SIZE == 0:
        return _pattern(Levels.of(weights, 4, GROUP_SIZE), openvino.Type.u4, weights.shape)
    return _pattern(Levels.of(weights, 8, num_inputs), openvino.Type.u8, weights.shape)


def _as_float32(constant: Any) -> Array:
    data: Array = constant.get_data()
    if constant.get_output_element_type(0) == openvino.Type.bf16:
        # numpy knows no bfloat16, the upper half of a float32.
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return data.astype(np.float32)


def _pattern(rounded: Levels, kind: Any, shape: tuple[int, ...]) -> Any:
    num_groups = rounded.levels.shape[1]
    if num_groups == 1:
        rounded = Levels(
            *(each[:, 0] for each in (rounded.levels, rounded.zero_points, rounded.scales))
        )
    levels = ops.convert(_packed(rounded.levels, kind), openvino.Type.f32)
    zero_points = ops.convert(_packed(rounded.zero_points, kind), openvino.Type.f32)
    weights = ops.multiply(ops.subtract(levels, zero_points), ops.constant(rounded.scales))
    if num_groups == 1:
        return weights
    return ops.reshape(weights, np.array(shape), special_zero=False)


def _packed(levels: Array, kind: Any) -> Any:
    if kind == openvino.Type.u8:
        return ops.constant(levels)
    flat = levels.reshape(-1)
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    pairs = flat[0::2] | flat[1::2] << 4  # must live until the constant has copied it
    tensor = openvino.Tensor(pairs, openvino.Shape(levels.shape), kind)
    return ops.constant(tensor, shared_memory=False)
