"""Slices with a step along the last axis of a graph."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from transformers import AutoConfig

from tests.unit.worker.engine.tiny_networks import SIZES, saved
from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino.conversion.strides import replace_strided_slices
from worker.engine.transformers.openvino.core import compile_model
from worker.engine.transformers.openvino.forward import prepare_network

_LENGTH = 12
_END = 2**31 - 1
_ROWS = np.arange(3 * 2 * _LENGTH, dtype=np.float32).reshape(3, 2, _LENGTH)


def graph_of(*slices: tuple[int, int, int, int], shape: Any = (-1, 2, _LENGTH)) -> openvino.Model:
    """Return a graph with the doubled numbers of each slice, (start, stop, step, axis)."""
    numbers = ops.parameter(openvino.PartialShape(list(shape)), np.float32)
    parts = [ops.slice(numbers, *(_constant(number) for number in each)) for each in slices]
    doubled = [ops.multiply(part, ops.constant(np.float32(2))) for part in parts]
    return openvino.Model(doubled, [numbers], "slices")


def _constant(number: int) -> Any:
    return ops.constant(np.array([number], np.int64))


def kinds(graph: openvino.Model) -> list[str]:
    return [
        node.get_type_name()
        for node in graph.get_ordered_ops()
        if node.get_type_name() in ("Slice", "Gather")
    ]


def computed(graph: openvino.Model) -> list[np.ndarray]:
    request = compile_model(graph, {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    request.infer({0: _ROWS})
    return [np.array(request.get_output_tensor(i).data) for i in range(len(graph.outputs))]


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("axis", [2, -1])
def test_every_start_of_a_step_is_gathered(step: int, axis: int) -> None:
    graph = graph_of(*((start, _END, step, axis) for start in range(step)))

    replace_strided_slices(graph)

    assert kinds(graph) == ["Gather"] * step
    for start, found in enumerate(computed(graph)):
        np.testing.assert_array_equal(found, 2 * _ROWS[..., start::step])


@pytest.mark.parametrize(
    "each",
    [
        pytest.param((0, _END, 1, 2), id="no step"),
        pytest.param((0, _END, 5, 2), id="a step that does not divide the axis"),
        pytest.param((0, 6, 2, 2), id="a part of the axis"),
        pytest.param((2, _END, 2, 2), id="from behind the first"),
        pytest.param((-2, _END, 2, 2), id="from the end"),
        pytest.param((-1, -_END, -1, 2), id="backwards"),
        pytest.param((0, _END, 2, 1), id="another axis"),
    ],
)
def test_other_slices_stay(each: tuple[int, int, int, int]) -> None:
    graph = graph_of(each)

    replace_strided_slices(graph)

    assert kinds(graph) == ["Slice"]
    start, stop, step, axis = each
    expected = _ROWS[:, start:stop:step] if axis == 1 else _ROWS[..., start:stop:step]
    np.testing.assert_array_equal(computed(graph)[0], 2 * expected)


def test_slices_of_an_axis_of_unknown_length_stay() -> None:
    graph = graph_of((0, _END, 2, 2), shape=(-1, 2, -1))

    replace_strided_slices(graph)

    assert kinds(graph) == ["Slice"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("cohere", {}, id="interleaved rotary embeddings"),
        pytest.param(
            "gpt_oss",
            {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16},
            id="interleaved experts",
        ),
    ],
)
def test_networks_have_none(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    saved(AutoConfig.for_model(name, **SIZES | changes), tmp_path)
    config = EngineConfig(
        folder=tmp_path, graph_folder=tmp_path / "graphs", kv_cache_bytes=1 << 20, max_sequences=1
    )

    graph = prepare_network(config).graph

    steps = [
        node.input_value(3).get_node().get_data().item()
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "Slice"
    ]
    assert set(steps) <= {1}
