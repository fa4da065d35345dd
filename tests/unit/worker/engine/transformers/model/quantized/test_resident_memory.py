"""Memory of quantised networks of some size, as estimated from their headers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig

from tests.unit.worker.engine.quantized_networks import KINDS
from worker.engine.transformers.model.quantized.footprint import footprint

HIDDEN, INNER, GROUP = 1024, 4096, 128
LAYERS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (256, HIDDEN)}
LAYERS |= {"self_attn.v_proj": (256, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN)}
LAYERS |= {"mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN)}
LAYERS |= {"mlp.down_proj": (HIDDEN, INNER)}
MAX_ERROR = 0.1

CHILD = """
import gc, sys
from pathlib import Path
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model_runner import load_forward

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    # OpenVINO copies what it reads from the file; torch leaves it there.
    kinds = "RssAnon" if sys.argv[2] == "openvino" else ("RssAnon", "RssFile")
    return sum(int(line.split()[1]) for line in lines if line.startswith(kinds))

folder = Path(sys.argv[1])
graphs = folder / "openvino" if sys.argv[2] == "openvino" else None
config = EngineConfig(
    folder=folder, graph_folder=graphs, kv_cache_bytes=1 << 24, max_sequences=1,
    dtype="bfloat16", forward=sys.argv[2], num_threads=1,
)
if graphs is not None:
    from worker.engine.transformers.openvino.forward import is_converted, prepare_network
    if not is_converted(config):
        prepare_network(config)
        raise SystemExit
import torch, openvino, transformers.models.llama.modeling_llama
before = resident()
loaded = load_forward(config)
gc.collect()
print(resident() - before)
"""


def save_random(folder: Path, num_layers: int) -> None:
    """Save a Llama in four bits, whose levels are random."""
    folder.mkdir()
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=num_layers,
        num_attention_heads=16,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    _, settings = KINDS["compressed-tensors"]
    fields = config.to_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(fields | {"quantization_config": settings}))
    tensors: dict[str, Tensor] = {"model.norm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16)}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.randn(128, HIDDEN).bfloat16()
    for layer in range(num_layers):
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{name}.weight"] = tensors["model.norm.weight"].clone()
        for name, shape in LAYERS.items():
            parts = random_parts(*shape)
            tensors |= {f"model.layers.{layer}.{name}.{part}": parts[part] for part in parts}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def random_parts(num_outputs: int, num_inputs: int) -> dict[str, Tensor]:
    levels = torch.randint(-(2**31), 2**31 - 1, (num_outputs, num_inputs // 8), dtype=torch.int32)
    scales = torch.full((num_outputs, num_inputs // GROUP), 0.002, dtype=torch.bfloat16)
    shape = torch.tensor([num_outputs, num_inputs])
    return {"weight_packed": levels, "weight_scale": scales, "weight_shape": shape}


def growth(folder: Path, forward: str) -> int:
    """Return the KiB by which a process grows when it loads a network that is converted."""
    command: list[Any] = [sys.executable, "-c", CHILD, folder, forward]
    for _ in range(2):
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        if done.stdout:
            return int(done.stdout.split()[-1])
    raise AssertionError(done.stderr)


@pytest.mark.nightly
@pytest.mark.xfail(
    reason="networks of 60 MB grow by 16 % (torch) and 35 % (OpenVINO) more than is estimated",
    strict=True,
)
def test_memory_is_as_estimated(tmp_path: Path, forward: str) -> None:
    grown, estimated = [], []
    for num_layers in (1, 9):  # the difference leaves out what every network takes
        folder = tmp_path / str(num_layers)
        save_random(folder, num_layers)
        grown.append(growth(folder, forward))
        weights = footprint(folder)
        sizes = {"openvino": weights.num_converted_bytes(2), "torch": weights.num_bytes(2)}
        estimated.append(sizes[forward] / 1024)

    found, expected = grown[1] - grown[0], estimated[1] - estimated[0]
    assert found == pytest.approx(expected, rel=MAX_ERROR), f"{grown} KiB, estimated {estimated}"
