"""What `models check` says of a folder is what its load says, in the same words."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig

from models.settings import Settings
from tests.tiny_model import save_tiny_model
from tests.unit.worker.engine.quantized_networks import KINDS, save_quantized
from tests.unit.worker.engine.state_architectures import WITH_STATES
from tests.unit.worker.engine.tiny_architectures import ONLY_IN_TORCH, REFUSED_BY_OPENVINO
from tests.unit.worker.engine.tiny_networks import SIZES, saved
from worker.engine.interface import ModelTooLargeError, UnsupportedModelError
from worker.engine.transformers.model_runner import ModelRunner
from worker.process.engine_config import engine_config
from worker.weights.judge import judge

Change = Callable[[Path], object]

LAYER = "model.layers.0"
Q_PROJ = f"{LAYER}.self_attn.q_proj"


@dataclass(frozen=True)
class Case:
    """A folder that is refused: the network that it has, what is wrong with it, and the words."""

    problem: str
    change: Change = lambda folder: None
    network: str = "llama"
    settings: dict[str, Any] = field(default_factory=dict)


def without(*names: str) -> Change:
    return lambda folder: change_tensors(folder, lambda all_: [all_.pop(name) for name in names])


def adding(**added: Tensor) -> Change:
    named = {name.replace("__", "."): tensor for name, tensor in added.items()}
    return lambda folder: change_tensors(folder, lambda all_: all_.update(named))


def setting(**fields: object) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | fields))

    return change


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def transposed(name: str) -> Change:
    def turn(tensors: dict[str, Tensor]) -> None:
        tensors[name] = tensors[name].t().contiguous()

    return lambda folder: change_tensors(folder, turn)


OPENVINO = {"forward": "openvino"}
CASES: dict[str, Case] = {
    "a tensor of a layer is gone": Case("it lacks 1 tensor", without(f"{Q_PROJ}.weight")),
    "the output layer is gone": Case("it lacks 1 tensor (lm_head", without("lm_head.weight")),
    "the last norm is gone": Case("it lacks 1 tensor (model.norm", without("model.norm.weight")),
    "a layer too few": Case("it lacks 9 tensors (model.layers.2", setting(num_hidden_layers=3)),
    "a bias too many": Case(
        f"the network has no place for 1 tensor ({Q_PROJ}.bias)",
        adding(**{f"{Q_PROJ}.bias": torch.ones(64)}),
    ),
    "another shape": Case(
        f"the shapes differ of 1 tensor ({LAYER}.mlp", transposed(f"{LAYER}.mlp.up_proj.weight")
    ),
    "another width": Case("the shapes differ of", setting(hidden_size=32)),
    "a field of another type": Case(
        "transformers cannot load it: ", setting(num_attention_heads="four")
    ),
    "no language model": Case(
        "transformers has no language model of this kind",
        setting(model_type="vit", architectures=["A"]),
    ),
    "another quantiser": Case(
        "quantised by HQQ", setting(quantization_config={"quant_method": "hqq"})
    ),
    "more bits than are read": Case(
        "it is quantised by GPTQ in 3 bits",
        setting(quantization_config={"quant_method": "gptq", "bits": 3}),
    ),
    "a mask of its own": Case("networks of the family doge", network="doge"),
    "no keyword arguments": Case("it does not hand keyword arguments", network="stablelm"),
    "capped scores, for OpenVINO": Case("uses softcap", network="gemma2", settings=OPENVINO),
    "chunks, for OpenVINO": Case("counts positions", network="llama4_text", settings=OPENVINO),
    "states, for OpenVINO": Case("keeps a state", network="lfm2", settings=OPENVINO),
    "states, in int4": Case("keeps a state", network="lfm2", settings={"dtype": "int4"}),
    "int4 in torch": Case(
        "ANTIPHON_DTYPE=int4 is for OpenVINO", settings={"dtype": "int4", "forward": "torch"}
    ),
    "too large": Case("the weights need ", settings={"kv_cache_gib": 1e6}),
    "too large in torch": Case(
        "the weights need ", settings={"kv_cache_gib": 1e6, "forward": "torch"}
    ),
    "packed, in int8": Case("quantised already", network="gptq", settings={"dtype": "int8"}),
    "FP8, in int8, in torch": Case(
        "quantised already", network="fp8", settings={"dtype": "int8", "forward": "torch"}
    ),
    "AWQ without its scales": Case(
        f"{Q_PROJ}.qweight is quantised, and {Q_PROJ}.scales is missing",
        without(f"{Q_PROJ}.scales"),
        "awq",
    ),
    "GPTQ without a weight": Case(
        f"it lacks 1 tensor ({Q_PROJ}.weight)",
        without(*(f"{Q_PROJ}.{part}" for part in ("qweight", "qzeros", "scales", "g_idx", "bias"))),
        "gptq",
    ),
    "GPTQ without the output layer": Case(
        "it lacks 1 tensor (lm_head.weight)", without("lm_head.weight"), "gptq"
    ),
    "compressed-tensors without a norm": Case(
        f"it lacks 1 tensor ({LAYER}.input_layernorm.weight)",
        without(f"{LAYER}.input_layernorm.weight"),
        "compressed-tensors",
    ),
    "compressed-tensors of another width": Case(
        "the shapes differ of", setting(intermediate_size=32), "compressed-tensors"
    ),
    "GPTQ with a bias that counts": Case(
        f"the network has no place for 1 tensor ({Q_PROJ}.bias)",
        adding(**{f"{Q_PROJ}.bias": torch.ones(64)}),
        "gptq",
    ),
    "FP8 without a scale": Case(
        f"{Q_PROJ}.weight is quantised, and {Q_PROJ}.weight_scale_inv is missing",
        without(f"{Q_PROJ}.weight_scale_inv"),
        "fp8",
    ),
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns the folder of a network, made once."""
    parent = tmp_path_factory.mktemp("networks")
    text = save_tiny_model(parent / "llama", "{{ messages }}")

    def make(name: str) -> Path:
        folder = parent / name
        if folder.exists():
            return folder
        if name in KINDS:
            save_quantized(text, folder, *KINDS[name])
        else:
            others = {"stablelm": REFUSED_BY_OPENVINO["stablelm"][0]}
            others["doge"] = AutoConfig.for_model("doge", **SIZES)
            saved((ONLY_IN_TORCH | WITH_STATES | others)[name], folder)
        for file in text.iterdir():
            if file.is_file() and not (folder / file.name).exists():
                shutil.copy(file, folder)
        return folder

    return make


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_both_refuse_in_the_same_words(
    case: Case, networks: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(networks(case.network), tmp_path / "model"))
    case.change(folder)
    fields: dict[str, Any] = {"kv_cache_gib": 0.001, "dtype": "float32", "threads": 1}
    settings = Settings(model=str(folder), data_dir=tmp_path / "data", **fields | case.settings)

    told = judge(settings).faults
    with pytest.raises((UnsupportedModelError, ModelTooLargeError)) as refused:
        ModelRunner(engine_config(settings, folder))

    assert case.problem in told[0].problem
    # What is free may change between the two.
    assert told[0].problem.split(", but only")[0] == str(refused.value).split(", but only")[0]
    assert told[0].problem.isprintable()
