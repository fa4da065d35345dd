"""Scaled rotary positions of GGUF files are those of the network that they come from."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from tests.unit.worker.weights.gguf.exporter import (
    Export,
    load_converted,
    logits,
    make_network,
    paired,
    write_gguf,
)
from tests.unit.worker.weights.gguf.sizes import SIZES
from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.convert import Conversion

YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}


def llama3(**changes: Any) -> dict[str, Any]:
    rope: dict[str, Any] = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    return rope | changes


def freqs(writer: gguf.GGUFWriter, config: Any) -> None:
    """Write the divisors of frequencies, as the converter of Llama does."""
    plain = 1 / config.rope_parameters["rope_theta"] ** (
        torch.arange(0, config.head_dim, 2) / config.head_dim
    )
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    writer.add_tensor("rope_freqs.weight", (plain / scaled).float().numpy())


def yarn(writer: gguf.GGUFWriter, config: Any) -> None:
    rope = config.rope_parameters
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if "attention_factor" in rope:
        writer.add_rope_scaling_yarn_attn_factor(rope["attention_factor"])
    if "beta_fast" in rope:
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def linear(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(config.rope_parameters["factor"])


def longrope(writer: gguf.GGUFWriter, config: Any) -> None:
    rope = config.rope_parameters
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    for name in ("long", "short"):
        factors = np.array(rope[f"{name}_factor"], np.float32)
        writer.add_tensor(f"rope_factors_{name}.weight", factors)


LLAMA = Export("llama", paired)
SCALED: dict[str, tuple[str, Any, Export, dict[str, Any]]] = {
    "Llama 3.1": ("llama", freqs, LLAMA, llama3()),
    "Llama 3.2": ("llama", freqs, LLAMA, llama3(factor=32.0)),
    "Llama 3 with other factors": (
        "llama",
        freqs,
        LLAMA,
        llama3(low_freq_factor=2.0, high_freq_factor=40.0, original_max_position_embeddings=4096),
    ),
    "YaRN": ("qwen2", yarn, Export("qwen2"), YARN),
    "YaRN of Llama": ("llama", yarn, LLAMA, YARN),
    "YaRN with all it has": (
        "qwen3",
        yarn,
        Export("qwen3"),
        YARN | {"attention_factor": 1.5, "beta_fast": 16.0, "beta_slow": 2.0},
    ),
    "linear": (
        "llama",
        linear,
        LLAMA,
        {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0},
    ),
    "longrope": (
        "phi3",
        longrope,
        Export("phi3"),
        {
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "original_max_position_embeddings": 32,
            "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
            "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
        },
    ),
}


def make_file(folder: Path, name: str) -> tuple[Path, Any]:
    model_type, extra, export, rope = SCALED[name]
    own = {"head_dim": 16} if model_type in ("phi3", "qwen2") else {"head_dim": 64}
    if model_type == "phi3":
        own["original_max_position_embeddings"] = rope["original_max_position_embeddings"]
    config = AutoConfig.for_model(model_type, **SIZES | own | {"rope_parameters": rope})
    model = make_network(config)
    write_gguf(folder / "tiny.gguf", model, export, extra)
    return folder / "tiny.gguf", model


@pytest.mark.parametrize("name", SCALED)
def test_scaled_positions_are_converted(name: str, tmp_path: Path) -> None:
    file, model = make_file(tmp_path, name)

    loaded = load_converted(file)

    rope = loaded.config.rope_parameters
    assert rope["rope_type"] == SCALED[name][3]["rope_type"]
    torch.testing.assert_close(logits(loaded), logits(model), rtol=1e-4, atol=1e-4)


def test_the_parameters_of_llama_3_are_found_again(tmp_path: Path) -> None:
    file, _ = make_file(tmp_path, "Llama 3.1")

    found = Conversion(file).config.rope_parameters

    assert dict(found) == llama3()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda writer, _: writer.add_tensor(
                "rope_freqs.weight", np.array([1, 5, 2, 9, 1, 1, 1, 1], np.float32)
            ),
            "rope_freqs.weight. that are not those of Llama 3",
        ),
        (
            lambda writer, _: writer.add_tensor("rope_freqs.weight", np.full(3, 2, np.float32)),
            r"rope_freqs.weight has the shape .3., for 16 numbers of a head",
        ),
        (
            lambda writer, _: [
                writer.add_string("llama.rope.scaling.type", "ntk"),
                writer.add_rope_scaling_factor(2.0),
            ],
            "positions are scaled by ntk, which is not supported",
        ),
        (
            lambda writer, _: [
                writer.add_rope_scaling_type(gguf.RopeScalingType.YARN),
                writer.add_rope_scaling_factor(2.0),
            ],
            "scaled from an unknown context length",
        ),
    ],
    ids=["other factors", "another number of factors", "another kind", "no length"],
)
def test_positions_that_have_no_equivalent_are_refused(
    tmp_path: Path, change: Any, problem: str
) -> None:
    model = make_network(AutoConfig.for_model("llama", **SIZES | {"head_dim": 16}))
    write_gguf(tmp_path / "tiny.gguf", model, LLAMA, change)

    with pytest.raises(BadCheckpointError, match=problem):
        Conversion(tmp_path / "tiny.gguf")


def test_factors_of_one_scale_nothing(tmp_path: Path) -> None:
    model = make_network(AutoConfig.for_model("llama", **SIZES | {"head_dim": 16}))
    ones = np.ones(8, np.float32)
    write_gguf(
        tmp_path / "tiny.gguf",
        model,
        LLAMA,
        lambda writer, _: writer.add_tensor("rope_freqs.weight", ones),
    )

    assert Conversion(tmp_path / "tiny.gguf").config.rope_parameters["rope_type"] == "default"
