"""Weights in 8 or 4 bits: as numbers, in a graph, and in an engine."""

from dataclasses import replace
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from openvino import opset13 as ops
from torch import Tensor

from tests.unit.worker.engine.conftest import EngineFactory
from tests.unit.worker.engine.harness import greedy, sampled
from tests.unit.worker.engine.transformers.openvino.conftest import ReadNetwork, logits_of
from worker.engine.interface import EngineConfig
from worker.engine.transformers.device import has_native_bfloat16
from worker.engine.transformers.model.forward_check import deviation
from worker.engine.transformers.openvino.compress import GROUP_SIZE, Levels, compress_weights
from worker.engine.transformers.openvino.core import compile_model
from worker.engine.transformers.openvino.forward import prepare_network

BITS: dict[Any, int] = {8: 96, 4: GROUP_SIZE}
"""Bits per weight, with the number of weights in a group that shares a scale."""
VOCAB_SIZE = 80


@pytest.fixture(params=["f32", "bf16"])
def _precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix the precision, since the faster one depends on the load of the machine."""
    if request.param == "bf16" and not has_native_bfloat16():
        pytest.skip("this processor computes in float32")
    name = "worker.engine.transformers.openvino.precision.fastest_precision"
    monkeypatch.setattr(name, lambda _num_threads: request.param)


def weights_of(outputs: int = 64, inputs: int = 96) -> Tensor:
    numbers = np.random.default_rng(0).normal(0.01, 0.2, (outputs, inputs))
    return torch.from_numpy(numbers.astype(np.float32))


def restore(levels: Levels) -> np.ndarray:
    differences = levels.levels.astype(np.float32) - levels.zero_points
    restored: np.ndarray = (differences * levels.scales).reshape(len(levels.levels), -1)
    return restored


def layer(weights: Tensor) -> openvino.Model:
    """Return a graph that multiplies rows by weights."""
    rows = ops.parameter([-1, weights.shape[1]], openvino.Type.f32)
    output = ops.matmul(rows, ops.constant(weights.numpy()), False, True)
    return openvino.Model([output], [rows])


def compute(graph: openvino.Model, rows: np.ndarray) -> np.ndarray:
    properties = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    compiled = compile_model(graph, properties)
    output: np.ndarray = compiled([rows])[0]
    return output


def types_in(graph: openvino.Model) -> list[str]:
    """Return the types of constants with two dimensions or more."""
    return sorted(
        node.get_element_type().get_type_name()
        for node in graph.get_ops()
        if node.get_type_name() == "Constant" and np.prod(node.get_output_shape(0)) >= 1024
    )


def test_in_8_bits_no_weight_is_off_by_more_than_a_step() -> None:
    weights = weights_of()

    levels = Levels.of(weights, 8, 96)

    errors = np.abs(restore(levels) - weights.numpy())
    assert (errors <= levels.scales[:, :, 0] * 1.001).all()
    # Half a quantisation step, except for values at an end of the range.
    assert np.quantile(errors / levels.scales[:, :, 0], 0.99) <= 0.501


def test_in_4_bits_the_error_is_no_more_than_that_of_levels_from_end_to_end() -> None:
    weights = weights_of()
    groups = weights.numpy().reshape(-1, GROUP_SIZE)
    least, greatest = groups.min(1, keepdims=True), groups.max(1, keepdims=True)
    steps = (greatest - least) / 15
    zero_points = np.floor(-least / steps)
    plain = (np.clip(np.rint(groups / steps) + zero_points, 0, 15) - zero_points) * steps

    found = restore(Levels.of(weights, 4, GROUP_SIZE)).reshape(-1, GROUP_SIZE)

    errors, plain_errors = (np.square(values - groups).sum(1) for values in (found, plain))
    assert (errors <= plain_errors * 1.001).all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0], ids=["around 0", "above 0", "below 0"])
def test_zero_stays_zero_wherever_the_others_lie(bits: Any, shift: float) -> None:
    weights = weights_of() + shift
    weights[::2, ::3] = 0

    found = restore(Levels.of(weights, bits, BITS[bits]))

    assert (found[::2, ::3] == 0).all()


@pytest.mark.parametrize("bits", BITS)
def test_weights_that_are_all_zero_stay_so(bits: Any) -> None:
    levels = Levels.of(torch.zeros(4, 96), bits, BITS[bits])

    assert (restore(levels) == 0).all()
    assert np.isfinite(levels.scales).all()


@pytest.mark.parametrize("bits", BITS)
def test_a_product_is_that_of_the_rounded_weights(bits: Any) -> None:
    weights = weights_of()
    graph = layer(weights)
    rows = np.random.default_rng(1).normal(0, 1, (5, 96)).astype(np.float32)

    compress_weights(graph, bits, VOCAB_SIZE)

    expected = rows @ restore(Levels.of(weights, bits, BITS[bits])).T
    assert np.allclose(compute(graph, rows), expected, atol=1e-4)


def test_a_layer_whose_inputs_are_no_multiple_of_a_group_gets_8_bits() -> None:
    odd, even = layer(weights_of(64, 95)), layer(weights_of(64, 96))

    for graph in (odd, even):
        compress_weights(graph, 4, VOCAB_SIZE)

    assert types_in(odd) == ["u8"]
    assert types_in(even) == ["u4"]


def test_embeddings_and_the_output_layer_keep_8_bits() -> None:
    graph = layer(weights_of(VOCAB_SIZE, 96))

    compress_weights(graph, 4, VOCAB_SIZE)

    assert types_in(graph) == ["u8"]


def test_embeddings_that_are_the_output_layer_are_compressed_once() -> None:
    shared = ops.constant(weights_of(VOCAB_SIZE, 96).numpy())
    token_ids = ops.parameter([-1], openvino.Type.i64)
    embedded = ops.gather(shared, token_ids, ops.constant(0))
    graph = openvino.Model([ops.matmul(embedded, shared, False, True)], [token_ids])

    compress_weights(graph, 8, VOCAB_SIZE)

    assert types_in(graph) == ["u8"]


def test_a_graph_without_weights_is_refused() -> None:
    rows = ops.parameter([-1, 4], openvino.Type.f32)

    with pytest.raises(ValueError, match="no weights"):
        compress_weights(openvino.Model([ops.relu(rows)], [rows]), 8, VOCAB_SIZE)


@pytest.mark.parametrize(("dtype", "most"), [("int8", 0.01), ("int4", 0.5)])
def test_a_network_in_fewer_bits_says_nearly_the_same(
    config: EngineConfig, read: ReadNetwork, dtype: Any, most: float
) -> None:
    network = prepare_network(replace(config, dtype=dtype))

    assert 0 < deviation(read().reference, logits_of(network)).divergence < most


@pytest.mark.usefixtures("_precision")
@pytest.mark.parametrize("forward", ["openvino"])
@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_an_engine_gives_a_prompt_the_same_alone_and_in_a_batch(
    make_engine: EngineFactory, prompts: list[list[int]], dtype: str
) -> None:
    harness = make_engine(dtype=dtype)
    [alone] = harness.run(greedy("alone", prompts[0]))

    together = harness.run(*(greedy(str(i), p) for i, p in enumerate(prompts)))

    assert together[0] == alone


@pytest.mark.usefixtures("_precision")
@pytest.mark.parametrize("forward", ["openvino"])
@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_two_engines_give_the_same_batch_the_same(
    make_engine: EngineFactory, prompts: list[list[int]], dtype: str
) -> None:
    requests = [sampled(str(i), prompt, seed=i) for i, prompt in enumerate(prompts)]

    first, second = (make_engine(dtype=dtype).run(*requests) for _ in range(2))

    assert first == second
    assert all(len(tokens) == 12 for tokens in first)
