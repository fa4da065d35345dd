"""Weights that would load as noise are refused by name before a request is taken (finding D9)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from models.profile.weights import locate_weights
from models.settings import Settings
from tests.tiny_model import save_tiny_model
from tests.unit.worker.engine.tiny_networks import SIZES, saved
from tests.unit.worker.weights.test_fetch import show_nothing
from worker.engine.interface import BadCheckpointError, EngineConfig, UnsupportedModelError
from worker.engine.transformers.model_runner import ModelRunner
from worker.weights.errors import WeightsError
from worker.weights.fetch import prepare_graph

Change = Callable[[Path], object]
Tensors = dict[str, torch.Tensor]

Q_PROJ = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of whole weights."""
    return save_tiny_model(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the weights, to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def load(folder: Path, **settings: Any) -> ModelRunner:
    return ModelRunner(
        EngineConfig(folder=folder, kv_cache_bytes=1 << 20, max_sequences=1, **settings)
    )


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def update_config(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    write(folder, "config.json", config | fields)


def update_tensors(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def without(*names: str) -> Change:
    return lambda folder: update_tensors(folder, lambda all_: [all_.pop(name) for name in names])


def adding(**added: torch.Tensor) -> Change:
    named = {name.replace("__", "."): tensor for name, tensor in added.items()}
    return lambda folder: update_tensors(folder, lambda all_: all_.update(named))


def quantised(method: str) -> Change:
    return lambda folder: update_config(folder, quantization_config={"quant_method": method})


def split_with_a_part_gone(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {name: f"model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(tensors)}
    first = {name: tensors[name] for name, part in parts.items() if "1-of" in part}
    save_file(first, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    write(folder, "model.safetensors.index.json", {"metadata": {}, "weight_map": parts})


def without_index(folder: Path) -> None:
    split_with_a_part_gone(folder)
    (folder / "model.safetensors.index.json").unlink()


def in_fp8(folder: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors[f"{Q_PROJ}.weight"] = tensors[f"{Q_PROJ}.weight"].to(torch.float8_e4m3fn)
        tensors[f"{Q_PROJ}.weight_scale"] = torch.ones(1)

    update_tensors(folder, change)


def in_exl3(folder: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors.pop(f"{Q_PROJ}.weight")
        tensors[f"{Q_PROJ}.trellis"] = torch.zeros(4, 4, dtype=torch.int16)

    update_tensors(folder, change)


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def with_another_shape(folder: Path) -> None:
    update_tensors(folder, lambda all_: all_.update({f"{Q_PROJ}.weight": torch.ones(3, 3)}))


SPOILT: dict[str, tuple[Change, str]] = {
    "a tensor is gone": (without(f"{Q_PROJ}.weight"), f"lacks 1 tensor .{Q_PROJ}.weight"),
    "a layer is gone": (
        without("model.layers.1.mlp.up_proj.weight", "model.layers.1.input_layernorm.weight"),
        "lacks 2 tensors",
    ),
    "the output layer is gone": (without("lm_head.weight"), "lacks 1 tensor .lm_head"),
    "a bias too many": (
        lambda folder: update_tensors(
            folder, lambda all_: all_.update({f"{Q_PROJ}.bias": torch.ones(8)})
        ),
        f"no place for 1 tensor .{Q_PROJ}.bias",
    ),
    "another shape": (with_another_shape, f"shapes differ of 1 tensor .*{Q_PROJ}.weight"),
    "a part is gone": (split_with_a_part_gone, "names 1 file .model-00002-of-00002.safetensors"),
    "the index is gone": (without_index, "lacks 1 file .model-00002-of-00002.safetensors"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors files"),
    "cut off": (cut_off, "model.safetensors is damaged: it has .* of .* bytes"),
    "no header": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"\x01" * 64),
        "model.safetensors is damaged",
    ),
    "an adapter": (lambda folder: write(folder, "adapter_config.json", {}), "LoRA adapter"),
    "ModelOpt": (
        lambda folder: write(
            folder, "hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4"}}
        ),
        "quantised by ModelOpt NVFP4, which is not supported",
    ),
    "FP8 without configuration": (in_fp8, "1 of F8_E4M3"),
    "EXL3 without configuration": (in_exl3, "1 of I16"),
    "MLX": (lambda folder: update_config(folder, quantization={"bits": 4}), "quantised by MLX"),
    **{
        method: (quantised(method), f"quantised by {name}, which is not supported")
        for method, name in {
            "hqq": "HQQ",
            "torchao": "torchao",
            "exl3": "EXL3",
            "modelopt": "ModelOpt",
            "compressed-tensors": "compressed-tensors",
            "bitsandbytes": "bitsandbytes",
            "a-new-one": "a-new-one",
        }.items()
    },
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=list(SPOILT))
def test_the_engine_refuses_it(folder: Path, spoil: Change, message: str) -> None:
    spoil(folder)

    with pytest.raises(BadCheckpointError, match=message):
        load(folder)


@pytest.mark.parametrize("forward", ["torch", "openvino"])
def test_both_forwards_refuse_it(folder: Path, forward: Any) -> None:
    without(f"{Q_PROJ}.weight")(folder)

    with pytest.raises(BadCheckpointError, match="lacks 1 tensor"):
        load(folder, forward=forward)


def test_the_command_line_refuses_it_before_a_worker_starts(folder: Path, tmp_path: Path) -> None:
    without(f"{Q_PROJ}.weight")(folder)
    settings = Settings(model=str(folder), data_dir=tmp_path / "data")

    with pytest.raises(WeightsError, match="model cannot be served: it lacks"):
        prepare_graph(settings, locate_weights(settings), show_nothing)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: None,
        adding(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(2)),
        adding(vision_tower__layers__0__weight=torch.ones(2, 2)),
    ],
    ids=["as saved", "a computed buffer", "a part that is not served"],
)
def test_a_whole_checkpoint_is_served(folder: Path, change: Change) -> None:
    change(folder)

    assert load(folder).vocab_size == 257


def test_a_tied_output_layer_need_not_be_stored(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, tie_word_embeddings=True)

    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert load(folder).vocab_size == 257


@pytest.mark.parametrize("forward", ["torch", "openvino"])
def test_a_model_with_a_mask_of_its_own_is_refused(tmp_path: Path, forward: Any) -> None:
    saved(AutoConfig.for_model("doge", **SIZES), tmp_path)

    with pytest.raises(UnsupportedModelError, match="mask of its own"):
        load(tmp_path, forward=forward)
