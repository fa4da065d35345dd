"""Formats of quantised checkpoints: which are read, and which are refused before weights are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from tests.unit.worker.engine.quantized_networks import KINDS, save_quantized
from tests.unit.worker.engine.tiny_networks import SIZES, saved
from worker.engine.interface import BadCheckpointError, EngineConfig, UnsupportedModelError
from worker.engine.transformers.model.preview.checkpoint import check_folder
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.model.quantized.formats import find_format
from worker.engine.transformers.model_runner import load_forward

LAYER = "model.layers.0.mlp.up_proj"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "awq gemv": ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "AWQ as 'gemv'"),
    "awq exllama": ({"quant_method": "awq", "bits": 4, "version": "exllama"}, "'exllama'"),
    "awq 3 bits": ({"quant_method": "awq", "w_bit": 3}, "AWQ in 3 bits"),
    "gptq 3 bits": ({"quant_method": "gptq", "bits": 3}, "GPTQ in 3 bits"),
    "gptq marlin": (
        {"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"},
        "GPTQ in the format 'marlin'",
    ),
    "gptq mixed": (
        {"quant_method": "gptq", "bits": 4, "dynamic": {"+:.*down": {"bits": 8}}},
        "different numbers of bits",
    ),
    "int8 activations": (
        {
            "quant_method": "compressed-tensors",
            "format": "int-quantized",
            "config_groups": {"0": {"weights": {"num_bits": 8, "type": "int"}}},
        },
        r"int-quantized \(int8\)",
    ),
    "nvfp4": (
        {
            "quant_method": "compressed-tensors",
            "format": "nvfp4-pack-quantized",
            "config_groups": {"0": {"weights": {"num_bits": 4, "type": "float"}}},
        },
        r"nvfp4-pack-quantized \(float4\)",
    ),
    "sparse": (
        KINDS["compressed-tensors"][1] | {"sparsity_config": {"format": "sparse-24-bitmask"}},
        r"sparse \(sparse-24-bitmask\)",
    ),
    "rotated": (
        KINDS["compressed-tensors"][1] | {"transform_config": {"config_groups": {"u": {}}}},
        "rotated",
    ),
    "without groups": ({"quant_method": "compressed-tensors"}, "no config_groups"),
    "without weights": (
        {"quant_method": "compressed-tensors", "config_groups": {"0": {"weights": None}}},
        "has no weights",
    ),
    "blocks of one number": ({"quant_method": "fp8", "weight_block_size": [128]}, r"\[128\]"),
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a network with its weights in full; return its folder."""
    folder = tmp_path_factory.mktemp("full")
    saved(AutoConfig.for_model("llama", **SIZES, tie_word_embeddings=False), folder)
    return folder


def load(folder: Path, **overrides: Any) -> Any:
    settings: dict[str, Any] = {"dtype": "float32", "num_threads": 1, "forward": "torch"}
    config = EngineConfig(
        folder=folder, kv_cache_bytes=1 << 20, max_sequences=1, **settings | overrides
    )
    return load_forward(config)


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Replace tensors of the first layer's up projection in a folder; None removes one."""
    file = folder / "model.safetensors"
    changed = load_file(file)
    for name, tensor in tensors.items():
        changed.pop(f"{LAYER}.{name}", None)
        if tensor is not None:
            changed[f"{LAYER}.{name}"] = tensor
    save_file(changed, file, {"format": "pt"})


@pytest.mark.parametrize(("settings", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_other_kinds_are_refused_by_name(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadCheckpointError, match=reason):
        find_format({"model_type": "llama", "quantization_config": settings})


def test_settings_of_the_language_model_count() -> None:
    _, settings = KINDS["awq"]

    found = find_format({"text_config": {"quantization_config": settings}})

    assert found is not None
    assert found.name == "AWQ"


@pytest.mark.parametrize("config", [{}, {"quantization_config": {"quant_method": "bitnet"}}])
def test_others_are_left_to_transformers(config: dict[str, Any]) -> None:
    assert find_format(config) is None


@pytest.mark.parametrize(
    ("kind", "tensors", "reason"),
    [
        ("awq", {"scales": None}, rf"qweight is quantised, and {LAYER}.scales is missing"),
        ("awq", {"qzeros": torch.zeros(1, 8, dtype=torch.int32)}, "scales has shape"),
        ("gptq", {"g_idx": torch.zeros(7, dtype=torch.int32)}, r"g_idx has shape \[7\]"),
        ("gptq", {"scales": torch.zeros(3, 64)}, r"qzeros has shape \[2, 8\], not \[3, 8\]"),
        ("compressed-tensors", {"weight_scale": None}, "weight_scale is missing"),
        ("compressed-tensors", {"weight_scale": torch.zeros(63, 2)}, "weight_scale has shape"),
        ("fp8 blocks", {"weight_scale_inv": None}, "weight_scale_inv is missing"),
        ("fp8 blocks", {"weight_scale_inv": torch.zeros(9, 9)}, "scales of shape"),
    ],
)
def test_a_weight_that_lacks_something_is_refused(
    kind: str, tensors: dict[str, Any], reason: str, full: Path, tmp_path: Path
) -> None:
    save_quantized(full, tmp_path, *KINDS[kind])
    change(tmp_path, **tensors)

    with pytest.raises(BadCheckpointError, match=reason):
        check_folder(tmp_path)


def test_groups_of_unequal_sizes_are_refused(full: Path, tmp_path: Path) -> None:
    save_quantized(full, tmp_path, *KINDS["gptq act-order"])
    change(tmp_path, g_idx=torch.zeros(32, dtype=torch.int32))

    with pytest.raises(BadCheckpointError, match="do not divide into groups of 16"):
        load(tmp_path)


def test_a_bias_without_a_place_is_refused_unless_it_changes_nothing(
    full: Path, tmp_path: Path
) -> None:
    save_quantized(full, tmp_path, *KINDS["gptq"])  # every layer has a bias of zeros
    load(tmp_path)

    change(tmp_path, bias=torch.ones(64))
    with pytest.raises(BadCheckpointError, match="the network has no place for 1 tensor"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json"])
def test_copies_of_the_settings_do_no_harm(name: str, full: Path, tmp_path: Path) -> None:
    save_quantized(full, tmp_path, *KINDS["awq"])
    (tmp_path / name).write_text("{}")

    check_folder(tmp_path)


def test_quantised_weights_are_not_quantised_again(full: Path, tmp_path: Path) -> None:
    save_quantized(full, tmp_path, *KINDS["awq"])

    with pytest.raises(UnsupportedModelError, match="quantised already"):
        load(tmp_path, dtype="int8")


def test_the_footprint_counts_what_is_packed(full: Path, tmp_path: Path) -> None:
    whole = footprint(full)
    save_quantized(full, tmp_path, *KINDS["compressed-tensors"])

    found = footprint(tmp_path)

    assert whole.num_quantized == 0
    assert found.num_plain + found.num_quantized == whole.num_plain
    # Levels, a float16 scale for each 16 of them, and the shape.
    assert found.quantized_bytes == found.num_quantized * (1 / 2 + 2 / 16) + 2 * 7 * 16
