"""Memory of networks of some size, as estimated from their headers before they are loaded."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig

from tests.unit.worker.engine.quantized_networks import KINDS
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.preview.estimate import expected_bytes
from worker.engine.transformers.model.quantized.footprint import footprint

HIDDEN, INNER, GROUP, NUM_CACHED = 1024, 4096, 128, 256
LAYERS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (256, HIDDEN)}
LAYERS |= {"self_attn.v_proj": (256, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN)}
LAYERS |= {"mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN)}
LAYERS |= {"mlp.down_proj": (HIDDEN, INNER)}
KEY_BYTES = 2 * 256
"""Numbers that a layer caches of a token."""
MAX_ERROR = 0.1

CHILD = """
import ctypes, gc, sys
from pathlib import Path
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model_runner import load_forward

def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    # OpenVINO copies what it reads from the file; torch leaves it there.
    kinds = "RssAnon" if sys.argv[2] == "openvino" else ("RssAnon", "RssFile")
    return sum(int(line.split()[1]) for line in lines if line.startswith(kinds))

folder = Path(sys.argv[1])
graphs = folder / "openvino" if sys.argv[2] == "openvino" else None
config = EngineConfig(
    folder=folder, graph_folder=graphs, kv_cache_bytes=int(sys.argv[4]), max_sequences=1,
    dtype=sys.argv[3], forward=sys.argv[2], num_threads=1,
)
if graphs is not None:
    from worker.engine.transformers.openvino.forward import is_converted, prepare_network
    if not is_converted(config):
        prepare_network(config)
        raise SystemExit
import torch, openvino, transformers.models.llama.modeling_llama
before = resident()
loaded = load_forward(config)
print(resident() - before)
"""

Parts = Callable[[int, int], dict[str, Tensor]]


def ints(*shape: int) -> Tensor:
    return torch.randint(-(2**31), 2**31 - 1, shape, dtype=torch.int32)


def compressed(num_outputs: int, num_inputs: int) -> dict[str, Tensor]:
    scales = torch.full((num_outputs, num_inputs // GROUP), 0.002, dtype=torch.bfloat16)
    shape = torch.tensor([num_outputs, num_inputs])
    levels = ints(num_outputs, num_inputs // 8)
    return {"weight_packed": levels, "weight_scale": scales, "weight_shape": shape}


def awq(num_outputs: int, num_inputs: int) -> dict[str, Tensor]:
    groups = num_inputs // GROUP
    return {
        "qweight": ints(num_inputs, num_outputs // 8),
        "qzeros": ints(groups, num_outputs // 8),
        "scales": torch.full((groups, num_outputs), 0.002, dtype=torch.float16),
    }


def plain(num_outputs: int, num_inputs: int) -> dict[str, Tensor]:
    return {"weight": (torch.randn(num_outputs, num_inputs) * 0.02).bfloat16()}


FORMATS: Mapping[str, tuple[Parts, dict[str, Any]]] = {
    "W4A16": (compressed, {"quantization_config": KINDS["compressed-tensors"][1]}),
    "AWQ": (awq, {"quantization_config": KINDS["awq"][1] | {"group_size": GROUP}}),
    "bfloat16": (plain, {}),
}


def save_random(folder: Path, kind: str, num_layers: int) -> None:
    """Save a Llama in a format, with random levels."""
    folder.mkdir()
    make, settings = FORMATS[kind]
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=num_layers,
        num_attention_heads=16,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    fields = config.to_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(fields | settings))
    tensors: dict[str, Tensor] = {"model.norm.weight": torch.ones(HIDDEN, dtype=torch.bfloat16)}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.randn(128, HIDDEN).bfloat16()
    for layer in range(num_layers):
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{name}.weight"] = tensors["model.norm.weight"].clone()
        for name, shape in LAYERS.items():
            parts = make(*shape)
            tensors |= {f"model.layers.{layer}.{name}.{part}": parts[part] for part in parts}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def growth(folder: Path, forward: str, dtype: str, cache_bytes: int) -> int:
    """Return the bytes by which a process grows when it loads a network that is converted."""
    command: list[Any] = [sys.executable, "-c", CHILD, folder, forward, dtype, str(cache_bytes)]
    for _ in range(2):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-1000:]
        if done.stdout:
            return 1024 * int(done.stdout.split()[-1])
    raise AssertionError(done.stderr)


CASES = [
    ("openvino", "W4A16", "bfloat16"),
    ("openvino", "W4A16", "float32"),
    ("openvino", "AWQ", "bfloat16"),
    ("openvino", "bfloat16", "bfloat16"),
    ("openvino", "bfloat16", "float32"),
    ("openvino", "bfloat16", "int8"),
]


@pytest.mark.nightly
@pytest.mark.parametrize(("forward", "kind", "dtype"), CASES)
def test_memory_is_as_estimated(forward: str, kind: str, dtype: Any, tmp_path: Path) -> None:
    grown, expected = [], []
    for num_layers in (2, 10):  # the difference leaves out what every network takes
        folder = tmp_path / str(num_layers)
        save_random(folder, kind, num_layers)
        item_bytes = 4 if dtype == "float32" else 2
        cache_bytes = num_layers * NUM_CACHED * KEY_BYTES * item_bytes
        grown.append(growth(folder, forward, dtype, cache_bytes))
        config = EngineConfig(folder=folder, kv_cache_bytes=1, max_sequences=1, dtype=dtype)
        is_openvino = forward == "openvino"
        weights = expected_bytes(footprint(folder), config, in_openvino=is_openvino)
        expected.append(weights + cache_bytes)

    found = grown[1] - grown[0]
    assert found == pytest.approx(expected[1] - expected[0], rel=MAX_ERROR)
