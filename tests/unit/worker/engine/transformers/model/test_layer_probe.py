"""What the probe finds of layers, with windows and chunks of the sizes that real models have."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from tests.unit.worker.engine.tiny_architectures import FULL_ATTENTION, WITH_WINDOWS
from tests.unit.worker.engine.tiny_networks import SIZES
from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.model.layer_probe import probe_layers
from worker.engine.transformers.torch_forward.attention import (
    ALL_KEYS,
    ATTENTION_NAME,
    LayerShape,
    Visibility,
    register_attention,
)

LARGE = 4096
WINDOW = Visibility(window=LARGE)
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": LARGE}
CHUNKED = {"layer_types": ["chunked_attention", "full_attention"], "attention_chunk_size": LARGE}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}


def tiny_config(model_type: str, *parts: dict[str, Any], **own: Any) -> PreTrainedConfig:
    merged = dict(SIZES)
    for part in (*parts, own):
        merged |= part
    return AutoConfig.for_model(model_type, **merged)


def probed(config: Any) -> list[LayerShape]:
    register_attention()
    auto: Any = AutoModelForCausalLM
    torch.manual_seed(0)
    model = auto.from_config(deepcopy(config), attn_implementation=ATTENTION_NAME).eval()
    found = probe_layers(model)
    assert model.config._attn_implementation == ATTENTION_NAME
    return [found[number] for number in range(len(found))]


def visibility(config: Any) -> list[Visibility]:
    return [layer.visibility for layer in probed(config)]


@pytest.mark.parametrize("model_type", ["gemma3_text", "gpt_oss", "olmo3"])
def test_windows_of_some_layers_are_found(model_type: str) -> None:
    config = tiny_config(model_type, EXPERTS, MIXED, head_dim=16)

    assert visibility(config) == [WINDOW, ALL_KEYS]


@pytest.mark.parametrize("model_type", ["mistral", "phi3", "starcoder2"])
def test_the_window_of_all_layers_is_found(model_type: str) -> None:
    assert visibility(tiny_config(model_type, sliding_window=LARGE)) == [WINDOW, WINDOW]


def test_a_window_that_only_the_mask_has_is_found() -> None:
    """Phi-3.5-MoE does not tell its attention about the window."""
    assert visibility(tiny_config("phimoe", EXPERTS, sliding_window=LARGE)) == [WINDOW, WINDOW]


def test_chunks_are_told_from_windows() -> None:
    config = tiny_config("llama4_text", EXPERTS, CHUNKED, head_dim=16, intermediate_size_mlp=64)

    assert visibility(config) == [Visibility(chunk=LARGE), ALL_KEYS]


def test_a_window_of_one_token_is_found() -> None:
    assert visibility(tiny_config("mistral", sliding_window=1)) == [Visibility(window=1)] * 2


def test_capped_scores_and_sinks_are_found() -> None:
    capped = probed(tiny_config("gemma2", MIXED, head_dim=16))
    with_sinks = probed(tiny_config("gpt_oss", EXPERTS, MIXED, head_dim=16))
    plain = probed(FULL_ATTENTION["llama"])

    assert [(layer.is_capped, layer.has_sinks) for layer in capped] == [(True, False)] * 2
    assert [(layer.is_capped, layer.has_sinks) for layer in with_sinks] == [(False, True)] * 2
    assert all(layer.is_plain for layer in plain)
    assert not any(layer.is_plain for layer in capped + with_sinks)


def test_keys_and_values_may_differ_in_size_from_layer_to_layer() -> None:
    config = tiny_config(
        "mimo_v2_flash", MIXED, head_dim=16, v_head_dim=8, n_routed_experts=4, num_experts_per_tok=2
    )

    assert [(layer.num_heads, layer.key_size, layer.value_size) for layer in probed(config)] == [
        (4, 16, 8),
        (2, 16, 8),
    ]


def test_layers_that_attend_to_keys_of_another_are_found() -> None:
    config = WITH_WINDOWS["gemma4_text with shared keys"]

    assert [layer.source for layer in probed(config)] == [None, None, 0, 1]


def test_a_mask_of_another_kind_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="a mask of its own"):
        probed(tiny_config("doge", sliding_window=None))


def test_attention_in_both_directions_is_refused() -> None:
    config = tiny_config("llama")
    config.is_causal = False

    with pytest.raises(UnsupportedModelError, match="a mask of its own"):
        probed(config)
