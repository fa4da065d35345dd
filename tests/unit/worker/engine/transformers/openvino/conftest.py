"""Fixtures: the tiny network, converted to OpenVINO once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openvino import opset13 as ops

from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.forward_check import (
    Batches,
    check_prompts,
    computed_logits,
    num_cached_tokens,
)
from worker.engine.transformers.openvino.compiled_graph import CompiledGraph
from worker.engine.transformers.openvino.forward import prepare_network
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.precision import Execution

ReadNetwork = Callable[[], Network]

EXACT = Execution("f32", "f32", num_threads=1)


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> EngineConfig:
    """Return the configuration of the tiny network, with a folder for its graph for this test."""
    return EngineConfig(
        folder=folder,
        graph_folder=tmp_path / "graphs",
        kv_cache_bytes=1 << 22,
        max_sequences=4,
        dtype="float32",
        num_threads=1,
    )


@pytest.fixture(scope="session")
def read(folder: Path) -> ReadNetwork:
    """Return a function that reads a new copy of the network, which is converted once."""
    config = EngineConfig(
        folder=folder, graph_folder=folder / "openvino", kv_cache_bytes=1, max_sequences=1
    )
    return lambda: prepare_network(config)


def compiled(network: Network, execution: Execution = EXACT) -> CompiledGraph:
    """Compile a network with a KV cache that holds the prompts of the forward check."""
    graph = CompiledGraph(network.graph, execution)
    graph.allocate(num_cached_tokens(_prompts_for(network)) // graph.block_size)
    return graph


def logits_of(network: Network, execution: Execution = EXACT) -> np.ndarray:
    """Return the graph's logits for the prompts of the forward check, [positions, vocab]."""
    graph = compiled(network, execution)
    return computed_logits(graph, graph.block_size, _prompts_for(network))


def _prompts_for(network: Network) -> Batches:
    return check_prompts(network.vocab_size, network.max_positions, network.check_length)


def matrices(network: Network) -> list[Any]:
    """Return the constants of the graph that have two dimensions or more."""
    return [
        node
        for node in network.graph.get_ordered_ops()
        if node.get_type_name() == "Constant" and len(node.get_output_shape(0)) > 1
    ]


def with_weight(network: Network, value: float) -> Network:
    """Return the network with one weight of its last layer set to a value."""
    last = [constant for constant in matrices(network) if constant.get_element_type().is_real()][-1]
    weights = last.get_data().copy()
    weights[0, 0] = value
    changed = ops.constant(weights)
    for target in list(last.output(0).get_target_inputs()):
        target.replace_source_output(changed.output(0))
    network.graph.validate_nodes_and_infer_types()
    return network
