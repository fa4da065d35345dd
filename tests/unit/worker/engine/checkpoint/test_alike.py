"""Families whose layers are all alike, compared with their networks in transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

from bench.refusals.sparse_weights import llama_shapes, write_sparse
from tests.unit.worker.engine.tiny_networks import SIZES
from worker.engine.checkpoint.alike import ALIKE, find_lacking_tensors
from worker.engine.checkpoint.files import Checkpoint

_NUM_LAYERS = 5
_BY_DAY = ("llama", "gemma2", "deepseek_v3", "qwen3_moe", "gpt_oss")
_FIELDS: dict[str, Any] = {
    **{"num_hidden_layers": _NUM_LAYERS, "head_dim": 8, "tie_word_embeddings": False},
    **{"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 32, "first_k_dense_replace": 2, "n_group": 1, "topk_group": 1},
    "n_shared_experts": 1,
}
"""Fields of all families; each takes its own, the others do no harm."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name in _BY_DAY else pytest.mark.nightly)
        for name in sorted(ALIKE)
    ],
)
def network(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return configuration and shapes of a family's network, as a checkpoint has them."""
    config = AutoConfig.for_model(request.param, **SIZES | _FIELDS)
    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(config)
    stored = revert_weight_conversion(model, dict(model.state_dict()))
    return config.to_dict(), {name: list(tensor.shape) for name, tensor in stored.items()}


@pytest.fixture
def problems(
    network: tuple[dict[str, Any], dict[str, list[int]]], tmp_path: Path
) -> Callable[[set[str]], list[str]]:
    """Return a function that returns what is said of the network without some tensors."""
    config, shapes = network

    def find(gone: set[str]) -> list[str]:
        kept = {name: shape for name, shape in shapes.items() if name not in gone}
        (tmp_path / "config.json").write_text(json.dumps(config))
        write_sparse(tmp_path, kept)
        return list(find_lacking_tensors(Checkpoint.of_folder(tmp_path), config))

    return find


def test_nothing_is_said_of_a_whole_network(problems: Callable[[set[str]], list[str]]) -> None:
    assert problems(set()) == []


def test_what_is_gone_is_said(
    network: tuple[dict[str, Any], dict[str, list[int]]],
    problems: Callable[[set[str]], list[str]],
) -> None:
    _, shapes = network
    last = f".layers.{_NUM_LAYERS - 1}."
    for name in [name for name in shapes if ".layers." not in name or last in name]:
        assert problems({name}) == [f"it lacks 1 tensor ({name})"]


def test_an_output_layer_may_be_tied(tmp_path: Path) -> None:
    config = {"model_type": "llama", "num_hidden_layers": 8}
    shapes = {name: shape for name, shape in llama_shapes(8).items() if "lm_head" not in name}
    write_sparse(tmp_path, shapes)
    found = Checkpoint.of_folder(tmp_path)

    assert not list(find_lacking_tensors(found, config))
    assert list(find_lacking_tensors(found, config | {"tie_word_embeddings": False}))


def test_layers_that_are_not_alike_are_left_to_the_network(tmp_path: Path) -> None:
    """Check a model whose every second layer is another kind, as its configuration says."""
    config = {"model_type": "qwen3_moe", "num_hidden_layers": 8, "decoder_sparse_step": 2}
    gone = [f"layers.{number}.mlp" for number in (1, 3, 5, 7)]
    shapes = llama_shapes(8)
    write_sparse(tmp_path, {n: s for n, s in shapes.items() if not any(g in n for g in gone)})

    assert not list(find_lacking_tensors(Checkpoint.of_folder(tmp_path), config))
