"""Quantised weights of a checkpoint in a graph: which constants they become."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from tests.unit.worker.engine.quantized_networks import KINDS, mxfp4, save_quantized
from tests.unit.worker.engine.tiny_networks import SIZES, saved
from tests.unit.worker.engine.transformers.openvino.conftest import matrices
from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.openvino.forward import prepare_network
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.store import network_folder

NUM_LAYERS, NUM_LINEAR = 2, 7


def config_of(folder: Path, **overrides: Any) -> EngineConfig:
    settings: dict[str, Any] = {"graph_folder": folder / "graphs", "num_threads": 1, **overrides}
    return EngineConfig(folder=folder, kv_cache_bytes=1 << 20, max_sequences=1, **settings)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a network with its weights in full; return its folder."""
    folder = tmp_path_factory.mktemp("full")
    saved(AutoConfig.for_model("llama", **SIZES, tie_word_embeddings=False), folder)
    return folder


def converted(folder: Path, source: Path, kind: str) -> Network:
    save_quantized(source, folder, *KINDS[kind])
    return prepare_network(config_of(folder))


def types(network: Network) -> Counter[str]:
    return Counter(node.get_element_type().get_type_name() for node in matrices(network))


def test_levels_and_zero_points_stay_in_four_bits(full: Path, tmp_path: Path) -> None:
    network = converted(tmp_path, full, "awq")

    assert types(network)["u4"] == 2 * NUM_LAYERS * NUM_LINEAR


def test_symmetric_levels_need_no_zero_point(full: Path, tmp_path: Path) -> None:
    found = types(converted(tmp_path, full, "compressed-tensors"))

    assert found["i4"] == NUM_LAYERS * NUM_LINEAR
    assert found["u4"] == 0


def test_inputs_are_put_in_the_order_of_the_groups(full: Path, tmp_path: Path) -> None:
    network = converted(tmp_path, full, "gptq act-order")

    gathers = [
        node
        for node in network.graph.get_ops()
        if node.get_type_name() == "Gather"
        and node.input_value(1).get_node().get_type_name() == "Constant"
        and list(node.input_value(1).get_shape()) in ([32], [64])
    ]
    assert len(gathers) == NUM_LAYERS * NUM_LINEAR


def test_experts_in_mxfp4_have_eight_bits(tmp_path: Path) -> None:
    config = AutoConfig.for_model("gpt_oss", **SIZES, num_local_experts=4, num_experts_per_tok=2)
    saved(config, tmp_path / "full")
    save_quantized(
        tmp_path / "full",
        tmp_path,
        mxfp4,
        {"quant_method": "mxfp4"},
        is_for=lambda name, _: name.endswith(("gate_up_proj", "down_proj")),
    )

    assert types(prepare_network(config_of(tmp_path)))["i8"] == 2 * NUM_LAYERS


def test_fp8_is_converted_to_full_weights_of_the_type_that_is_asked_for(
    full: Path, tmp_path: Path
) -> None:
    assert types(converted(tmp_path, full, "fp8 blocks"))["f8e4m3"] == 0

    exact = network_folder(config_of(tmp_path, dtype="float32"), "full")
    short = network_folder(config_of(tmp_path, dtype="bfloat16"), "full")
    assert exact != short == network_folder(config_of(tmp_path), "full")


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_what_is_quantised_is_not_quantised_again(full: Path, tmp_path: Path, dtype: str) -> None:
    save_quantized(full, tmp_path, *KINDS["gptq"])

    with pytest.raises(UnsupportedModelError, match="quantised already"):
        prepare_network(config_of(tmp_path, dtype=dtype))


def test_fp8_may_be_quantised_to_int8(full: Path, tmp_path: Path) -> None:
    save_quantized(full, tmp_path, *KINDS["fp8 blocks"])

    assert types(prepare_network(config_of(tmp_path, dtype="int8")))["u8"] > 0
