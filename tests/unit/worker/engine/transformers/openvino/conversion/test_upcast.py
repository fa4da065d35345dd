"""Networks with weights stored in 16 bits: computed in float32 from the 16-bit weights."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from tests.unit.worker.engine.tiny_architectures import FULL_ATTENTION
from tests.unit.worker.engine.transformers.openvino.conftest import logits_of, matrices
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.forward_check import deviation
from worker.engine.transformers.openvino.conversion.convert import convert
from worker.engine.transformers.openvino.conversion.upcast import compute_in_float32
from worker.engine.transformers.openvino.network import Network

NAMES = {torch.bfloat16: "bf16", torch.float16: "f16"}


def save_and_convert(config: Any, dtype: torch.dtype, folder: Path) -> Network:
    """Save and convert a network of this type whose weights need no more than 16 bits."""
    torch.manual_seed(1)
    auto: Any = AutoModelForCausalLM
    auto.from_config(deepcopy(config)).bfloat16().to(dtype).save_pretrained(folder)
    return convert(EngineConfig(folder=folder, kv_cache_bytes=1, max_sequences=1))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_short_weights_give_what_their_copy_in_float32_gives(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    config = FULL_ATTENTION[architecture]
    short = save_and_convert(config, dtype, tmp_path / "short")
    full = save_and_convert(config, torch.float32, tmp_path / "full")

    found = deviation(full.reference, short.reference)
    assert found.divergence < 1e-9
    assert deviation(logits_of(full), logits_of(short)).divergence < 1e-9
    assert np.allclose(logits_of(full), logits_of(short), atol=1e-4)


@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_the_graph_has_the_weights_as_they_are_stored(dtype: torch.dtype, tmp_path: Path) -> None:
    network = save_and_convert(FULL_ATTENTION["llama"], dtype, tmp_path)

    stored = [constant for constant in matrices(network) if min(constant.get_output_shape(0)) > 8]
    assert len(stored) == 2 * 7 + 2  # linear layers, embeddings and the output layer
    assert {constant.get_element_type().get_type_name() for constant in stored} == {NAMES[dtype]}


def test_weights_that_are_long_enough_are_left_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))

    compute_in_float32(model)

    assert "forward" not in vars(model[0])


def test_what_is_no_linear_layer_is_widened_for_good() -> None:
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(GPT2Config(n_layer=1, n_embd=32, n_head=2, vocab_size=64)).half()

    compute_in_float32(model)

    assert model.transformer.h[0].ln_1.weight.dtype == torch.float32
    assert model.transformer.h[0].mlp.c_fc.weight.dtype == torch.float16
    assert model.transformer.h[0].mlp.c_fc.bias.dtype == torch.float32
