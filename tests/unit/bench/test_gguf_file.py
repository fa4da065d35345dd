"""GGUF files: the same content as the folder of weights they were made from."""

from pathlib import Path

import gguf
import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from bench.engines.shapes import SHAPES
from bench.peers.peer import Precision
from bench.peers.weights.gguf_file import interleave, tensor_names, write_gguf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPES["tiny"]))
    model.bfloat16().save_pretrained(tmp_path)
    return tmp_path


def test_every_weight_has_its_name() -> None:
    names = tensor_names(2)

    assert names["model.embed_tokens.weight"] == "token_embd.weight"
    assert names["lm_head.weight"] == "output.weight"
    assert names["model.layers.1.self_attn.o_proj.weight"] == "blk.1.attn_output.weight"
    assert names["model.layers.0.post_attention_layernorm.weight"] == "blk.0.ffn_norm.weight"
    assert len(names) == len(set(names.values())) == 3 + 2 * 9


def test_halves_of_a_head_become_pairs() -> None:
    rows = torch.tensor([[0], [1], [2], [3], [10], [11], [12], [13]])

    assert interleave(rows, 2).flatten().tolist() == [0, 2, 1, 3, 10, 12, 11, 13]


@pytest.mark.parametrize(
    ("precision", "error"),
    [
        (Precision.FLOAT32, 0.0),
        (Precision.BFLOAT16, 0.0),
        (Precision.INT8, 0.01),
        (Precision.INT4, 0.15),
    ],
)
def test_a_file_has_all_weights(folder: Path, precision: Precision, error: float) -> None:
    file = folder / "weights.gguf"
    write_gguf(folder, file, precision)

    read = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    weights = load_file(folder / "model.safetensors")
    names = tensor_names(SHAPES["tiny"]["num_hidden_layers"])
    assert set(read) == {names[name] for name in weights}
    up = read["blk.1.ffn_up.weight"]
    values = gguf.quants.dequantize(up.data, up.tensor_type)
    expected = weights["model.layers.1.mlp.up_proj.weight"].float().numpy()
    assert np.abs(values - expected).max() <= error * np.abs(expected).max()


def test_a_file_says_the_shape(folder: Path) -> None:
    file = folder / "weights.gguf"
    write_gguf(folder, file, Precision.BFLOAT16)

    fields = gguf.GGUFReader(file).fields
    config = orjson.loads((folder / "config.json").read_bytes())
    for name, key in {
        "llama.block_count": "num_hidden_layers",
        "llama.attention.head_count_kv": "num_key_value_heads",
        "llama.vocab_size": "vocab_size",
    }.items():
        assert fields[name].contents() == config[key]
