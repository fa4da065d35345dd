"""Strided slices of the last axis of a graph, replaced by gathers, which keep no offsets.

The CPU plugin computes a slice with a step along the last axis from a list of offsets, 16 bytes for
each number, which every such node keeps for as many tokens as it has computed at a time. The
interleaved halves of rotary embeddings and of gpt-oss's experts are such slices: in a deep network
they would take gigabytes.
"""

from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

_NUM_INPUTS = 5
"""Numbers, start, stop, step and axis."""


def replace_strided_slices(graph: openvino.Model) -> None:
    """Replace slices with a step that divides the last axis by a view [..., step] and a `Gather`.

    Results are the same. Other slices stay as they are.
    """
    for node in graph.get_ordered_ops():
        found = _start_and_step(node)
        if found is None:
            continue
        start, step = found
        numbers = node.input_value(0)
        *others, length = numbers.get_partial_shape()
        shape = np.array([0] * len(others) + [length.get_length() // step, step])
        view = ops.reshape(numbers, shape, special_zero=True)
        chosen = ops.gather(view, ops.constant(np.int32(start)), ops.constant(np.int32(-1)))
        chosen.set_friendly_name(node.get_friendly_name())
        for user in node.output(0).get_target_inputs():
            user.replace_source_output(chosen.output(0))
    graph.validate_nodes_and_infer_types()


def _start_and_step(node: Any) -> tuple[int, int] | None:
    """Return those of a slice of all the last axis; None for any other node."""
    if node.get_type_name() != "Slice" or node.get_input_size() != _NUM_INPUTS:
        return None
    numbers, *parts = node.input_values()
    shape = numbers.get_partial_shape()
    if shape.rank.is_dynamic or shape[-1].is_dynamic or not all(map(_is_number, parts)):
        return None
    start, stop, step, axis = (int(part.get_node().get_data().item()) for part in parts)
    length = shape[-1].get_length()
    is_last = axis in {-1, len(shape) - 1}
    is_all = 0 <= start < step and stop >= length
    return (start, step) if is_last and is_all and step > 1 and length % step == 0 else None


def _is_number(output: Any) -> bool:
    node = output.get_node()
    return bool(node.get_type_name() == "Constant" and node.get_data().size == 1)
