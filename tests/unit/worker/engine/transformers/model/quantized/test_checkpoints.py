"""Quantised checkpoints: the engine computes what the network with the weights in full does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from tests.tiny_vision import write_vision_model
from tests.unit.worker.engine.conftest import EngineFactory, byte_tokenizer
from tests.unit.worker.engine.harness import greedy
from tests.unit.worker.engine.quantized_networks import (
    KINDS,
    Quantize,
    compressed,
    mxfp4,
    save_quantized,
)
from tests.unit.worker.engine.tiny_networks import SIZES, generated, saved
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.forward_check import (
    check_prompts,
    computed_logits,
    deviation,
    reference_logits,
)
from worker.engine.transformers.model_runner import load_forward

PROMPTS = [[(7 * n + 3 * size) % 120 for n in range(size)] for size in (60, 18, 1)]
NUM_TOKENS = 12
MAX_DIFFERENCE = 1e-3
"""Largest difference of logits, which are up to 5, in float32."""
BY_DAY = ("awq", "gptq act-order", "compressed-tensors asymmetric", "fp8 blocks")
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def configuration(model_type: str, **own: Any) -> PreTrainedConfig:
    return AutoConfig.for_model(model_type, **SIZES, head_dim=16, **own)


def kinds(*, by_day: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(*kind, id=name, marks=() if name in by_day else pytest.mark.nightly)
        for name, kind in KINDS.items()
    ]


def check(network: Any, folder: Path, forward: str, make_engine: EngineFactory) -> None:
    """Compare logits, then greedy answers, with those of a network with the weights in full."""
    settings: Any = {"dtype": "float32", "num_threads": 1, "forward": forward}
    config = EngineConfig(
        folder=folder,
        graph_folder=folder / "openvino",
        kv_cache_bytes=1 << 22,
        max_sequences=1,
        **settings,
    )
    compute = load_forward(config)
    prompts = check_prompts(compute.vocab_size, None)
    reference = reference_logits(network, prompts)
    computed = computed_logits(compute, compute.block_size, prompts)
    assert abs(reference - computed).max() < MAX_DIFFERENCE
    assert deviation(reference, computed).agreement == 1

    answers = [generated(network, prompt, NUM_TOKENS) for prompt in PROMPTS]
    engine = make_engine(folder=folder, kv_cache_bytes=1 << 22)
    requests = [greedy(str(n), prompt, NUM_TOKENS) for n, prompt in enumerate(PROMPTS)]
    assert engine.run(*requests) == answers


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a network with its weights in full; return its folder."""
    folder = tmp_path_factory.mktemp("full")
    saved(configuration("qwen3", tie_word_embeddings=False), folder)
    return folder


@pytest.mark.parametrize("forward", ["torch"])
@pytest.mark.parametrize(("quantize", "settings"), kinds(by_day=tuple(KINDS)))
def test_torch_computes_what_the_weights_stand_for(
    quantize: Quantize,
    settings: dict[str, Any],
    full: Path,
    tmp_path: Path,
    forward: str,
    make_engine: EngineFactory,
) -> None:
    network = save_quantized(full, tmp_path, quantize, settings)

    check(network, tmp_path, forward, make_engine)


@pytest.mark.parametrize("forward", ["openvino"])
@pytest.mark.parametrize(("quantize", "settings"), kinds(by_day=BY_DAY))
def test_openvino_computes_what_the_weights_stand_for(
    quantize: Quantize,
    settings: dict[str, Any],
    full: Path,
    tmp_path: Path,
    forward: str,
    make_engine: EngineFactory,
) -> None:
    network = save_quantized(full, tmp_path, quantize, settings)

    check(network, tmp_path, forward, make_engine)


@pytest.mark.parametrize("name", ["awq", "compressed-tensors", "fp8 blocks that fit"])
def test_experts_are_merged_and_computed(
    name: str, tmp_path: Path, forward: str, make_engine: EngineFactory
) -> None:
    saved(configuration("qwen3_moe", tie_word_embeddings=False, **EXPERTS), tmp_path / "full")
    network = save_quantized(tmp_path / "full", tmp_path, *KINDS[name])

    check(network, tmp_path, forward, make_engine)


def test_experts_of_gpt_oss_are_computed(
    tmp_path: Path, forward: str, make_engine: EngineFactory
) -> None:
    config = configuration("gpt_oss", num_local_experts=4, num_experts_per_tok=2)
    config.layer_types = ["sliding_attention", "full_attention"]
    saved(config, tmp_path / "full")
    network = save_quantized(
        tmp_path / "full",
        tmp_path,
        mxfp4,
        {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
        is_for=lambda name, _: name.endswith(("gate_up_proj", "down_proj")),
    )

    check(network, tmp_path, forward, make_engine)


@pytest.mark.parametrize("forward", ["torch"])
def test_a_vision_part_stays_as_it_is(
    tmp_path: Path, forward: str, make_engine: EngineFactory
) -> None:
    tokenizer: Any = PreTrainedTokenizerFast
    write_vision_model(
        tmp_path / "full", tokenizer(tokenizer_object=byte_tokenizer(), eos_token="<end>"), "llava"
    )
    network = save_quantized(
        tmp_path / "full",
        tmp_path,
        *KINDS["awq"],
        is_for=lambda name, _: "language_model" in name and name.endswith("proj.weight"),
        loader=AutoModelForImageTextToText,
    )

    check(network, tmp_path, forward, make_engine)


@pytest.mark.parametrize("forward", ["torch"])
def test_layers_that_are_not_quantised_stay_as_they_are(
    full: Path, tmp_path: Path, forward: str, make_engine: EngineFactory
) -> None:
    _, settings = KINDS["compressed-tensors"]
    ignored = ["lm_head", "re:.*down_proj"]
    network = save_quantized(
        full,
        tmp_path,
        compressed(),
        settings | {"ignore": ignored},
        is_for=lambda name, weight: weight.ndim == 2 and "q_proj" in name,
    )

    check(network, tmp_path, forward, make_engine)
    assert network.dtype == torch.float32
