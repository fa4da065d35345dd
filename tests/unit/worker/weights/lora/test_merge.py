"""A folder of a LoRA adapter is served as its base model with the adapter's changes, or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from models.profile.weights import locate_weights
from models.settings import Settings
from tests.tiny_model import save_tiny_model
from tests.unit.worker.weights.test_fetch import show_nothing
from worker.weights.errors import WeightsError
from worker.weights.fetch import prepare_weights
from worker.weights.judge import judge

Tensors = dict[str, Tensor]

QUERY = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.1.mlp.down_proj"
EMBEDDINGS = "model.embed_tokens"
PREFIX = "base_model.model."
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "base")


def matrices(module: str, outputs: int, inputs: int, rank: int = 4) -> Tensors:
    """Return the two matrices of a linear layer, as PEFT names them."""
    torch.manual_seed(outputs + rank)
    return {
        f"{PREFIX}{module}.lora_A.weight": torch.randn(rank, inputs),
        f"{PREFIX}{module}.lora_B.weight": torch.randn(outputs, rank),
    }


def write_adapter(folder: Path, base: Path | str, tensors: Tensors, **config: Any) -> Path:
    folder.mkdir()
    content = CONFIG | {"base_model_name_or_path": str(base)} | config
    (folder / "adapter_config.json").write_text(json.dumps(content))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def settings_of(adapter: Path, tmp_path: Path) -> Settings:
    return Settings(model=str(adapter), data_dir=tmp_path / "data", kv_cache_gib=0.01)


def merged(adapter: Path, tmp_path: Path) -> Tensors:
    """Return all tensors of the folder that an adapter is merged into."""
    settings = settings_of(adapter, tmp_path)
    weights = locate_weights(settings)
    prepare_weights(settings, weights, show_nothing)
    return load_file(weights.folder / "model.safetensors")


def product(tensors: Tensors, module: str) -> Tensor:
    down = tensors[f"{PREFIX}{module}.lora_A.weight"]
    return tensors[f"{PREFIX}{module}.lora_B.weight"] @ down


@pytest.mark.parametrize(
    ("config", "scales"),
    [
        ({}, (2.0, 2.0)),
        ({"use_rslora": True}, (4.0, 4.0)),
        ({"alpha_pattern": {"down_proj": 2}}, (2.0, 0.5)),
        ({"alpha_pattern": {r"layers\.0\.self_attn\.q_proj": 16}}, (4.0, 2.0)),
        ({"lora_alpha": 3}, (0.75, 0.75)),
    ],
    ids=["plain", "rsLoRA", "a factor of its own", "a pattern", "another factor"],
)
def test_the_product_is_added_with_its_factor(
    base: Path, tmp_path: Path, config: dict[str, Any], scales: tuple[float, float]
) -> None:
    tensors = matrices(QUERY, 64, 64) | matrices(DOWN, 64, 128)
    adapter = write_adapter(tmp_path / "adapter", base, tensors, **config)
    before = load_file(base / "model.safetensors")

    after = merged(adapter, tmp_path)

    assert after.keys() == before.keys()
    for module, scale in zip((QUERY, DOWN), scales, strict=True):
        name = f"{module}.weight"
        torch.testing.assert_close(after[name], before[name] + scale * product(tensors, module))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"{QUERY}.weight", f"{DOWN}.weight"}


def test_a_rank_of_its_own_counts_in_the_factor(base: Path, tmp_path: Path) -> None:
    tensors = matrices(QUERY, 64, 64, rank=2)
    adapter = write_adapter(tmp_path / "adapter", base, tensors, rank_pattern={"q_proj": 2})
    before = load_file(base / "model.safetensors")[f"{QUERY}.weight"]

    after = merged(adapter, tmp_path)[f"{QUERY}.weight"]

    torch.testing.assert_close(after, before + 4 * product(tensors, QUERY))


def test_embeddings_and_whole_layers_are_merged(base: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    head = torch.randn(257, 64)
    tensors = {
        f"{PREFIX}{EMBEDDINGS}.lora_embedding_A": torch.randn(4, 257),
        f"{PREFIX}{EMBEDDINGS}.lora_embedding_B": torch.randn(64, 4),
        f"{PREFIX}lm_head.weight": head,
    }
    adapter = write_adapter(tmp_path / "adapter", base, tensors)
    before = load_file(base / "model.safetensors")[f"{EMBEDDINGS}.weight"]
    down, up = list(tensors.values())[:2]

    after = merged(adapter, tmp_path)

    torch.testing.assert_close(after[f"{EMBEDDINGS}.weight"], before + 2 * (up @ down).T)
    assert torch.equal(after["lm_head.weight"], head)


def test_layers_whose_inputs_come_first_are_merged_turned(tmp_path: Path) -> None:
    loader: Any = AutoModelForCausalLM
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=1, n_head=2, vocab_size=64)
    model = loader.from_config(config)
    model.save_pretrained(tmp_path / "base")
    module = "transformer.h.0.attn.c_attn"
    tensors = matrices(module, 96, 32)
    adapter = write_adapter(tmp_path / "adapter", tmp_path / "base", tensors, fan_in_fan_out=True)

    after = merged(adapter, tmp_path)

    before = model.state_dict()[f"{module}.weight"]
    stored = next(tensor for name, tensor in after.items() if name.endswith("attn.c_attn.weight"))
    torch.testing.assert_close(stored, before + 2 * product(tensors, module).T)


def test_the_folder_computes_what_a_network_merged_by_hand_does(base: Path, tmp_path: Path) -> None:
    tensors = {name: value * 0.1 for name, value in matrices(QUERY, 64, 64).items()}
    adapter = write_adapter(tmp_path / "adapter", base, tensors)
    loader: Any = AutoModelForCausalLM
    by_hand = loader.from_pretrained(base, dtype=torch.float32)
    by_hand.get_submodule(QUERY).weight.data += 2 * product(tensors, QUERY)
    settings = settings_of(adapter, tmp_path)
    weights = locate_weights(settings)

    prepare_weights(settings, weights, show_nothing)

    found = loader.from_pretrained(weights.folder, dtype=torch.float32)
    ids = torch.arange(20)[None]
    torch.testing.assert_close(found(ids).logits, by_hand(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_keeps_its_name_and_brings_its_template(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "tuned", base, matrices(QUERY, 64, 64))
    (adapter / "chat_template.jinja").write_text("its own")
    settings = settings_of(adapter, tmp_path)
    weights = locate_weights(settings)

    prepare_weights(settings, weights, show_nothing)

    assert weights.model_id == "tuned"
    assert (weights.folder / "chat_template.jinja").read_text() == "its own"
    assert not (weights.folder / "adapter_config.json").exists()
    assert judge(settings).faults == []


def test_the_template_of_an_adapter_counts_before_the_merge(base: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(base, tmp_path / "bare"))
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        (bare / name).unlink(missing_ok=True)
    adapter = write_adapter(tmp_path / "adapter", bare, matrices(QUERY, 64, 64))
    settings = settings_of(adapter, tmp_path)
    assert [fault.check for fault in judge(settings).faults] == ["chat_template"]

    (adapter / "chat_template.jinja").write_text("{{ messages }}")

    assert judge(settings).faults == []


def test_an_adapter_that_was_trained_further_is_merged_anew(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", base, matrices(QUERY, 64, 64))
    settings = settings_of(adapter, tmp_path)
    first = locate_weights(settings).folder

    save_file(matrices(QUERY, 64, 64, rank=2), adapter / "adapter_model.safetensors")

    assert locate_weights(settings).folder != first


def test_a_base_beside_the_adapter_is_found(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", "../base", matrices(QUERY, 64, 64))

    assert f"{QUERY}.weight" in merged(adapter, tmp_path)


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(f"{PREFIX}{QUERY}.{name}.weight")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "DoRA": ({"use_dora": True}, "LoRA adapter with DoRA, which is not merged"),
    "QALoRA": ({"use_qalora": True}, "with QALoRA"),
    "biases": ({"bias": "all"}, "trained biases, which are not merged .bias: all"),
    "LoRA biases": ({"lora_bias": True}, "LoRA with biases"),
    "tokens": ({"trainable_token_indices": [1]}, "trained tokens"),
    "parameters": ({"target_parameters": ["experts.gate_up_proj"]}, "LoRA of parameters"),
    "replication": ({"layer_replication": [[0, 1]]}, "replicated layers"),
    "PiSSA": ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4, changed the weights"),
    "LoftQ": ({"init_lora_weights": "loftq"}, "loftq, changed the weights"),
    "another kind": ({"peft_type": "IA3"}, "an adapter of the kind IA3; only LORA is merged"),
    "no rank": ({"r": None}, "no rank or no factor"),
    "no base": ({"base_model_name_or_path": ""}, "names no base model"),
    "a base that is not there": (
        {"base_model_name_or_path": "/nowhere/model"},
        "its base model is not in /nowhere/model",
    ),
    "another rank": ({"r": 8}, r"has matrices of .*, and not the rank 8"),
}


@pytest.mark.parametrize(("config", "problem"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_not_merged_is_refused_by_name(
    base: Path, tmp_path: Path, config: dict[str, Any], problem: str
) -> None:
    adapter = write_adapter(tmp_path / "adapter", base, matrices(QUERY, 64, 64), **config)

    with pytest.raises(WeightsError, match=f"adapter cannot be served: .*{problem}"):
        merged(adapter, tmp_path)

    assert [fault.check for fault in judge(settings_of(adapter, tmp_path)).faults] == ["files"]
    assert not locate_weights(settings_of(adapter, tmp_path)).folder.exists()


TENSORS: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "no B": (without("lora_B"), "the adapter lacks lora_B of"),
    "no A": (without("lora_A"), "the adapter lacks lora_A of"),
    "another module": (
        lambda all_: all_.update(matrices("model.layers.9.mlp.up_proj", 64, 64)),
        r"no place for 1 tensor .model\.layers\.9\.mlp\.up_proj\.weight",
    ),
    "another shape": (
        lambda all_: all_.update(matrices(DOWN, 64, 96)),
        r"down_proj\.weight has the shape \[64, 96\], that of its base model \[64, 128\]",
    ),
    "magnitudes": (
        lambda all_: all_.update({f"{PREFIX}{QUERY}.lora_magnitude_vector": torch.ones(64)}),
        "with DoRA",
    ),
    "an unknown part": (
        lambda all_: all_.update({f"{PREFIX}{QUERY}.lora_C.weight": torch.ones(4)}),
        "none of LoRA's",
    ),
    "more tokens": (
        lambda all_: all_.update({f"{PREFIX}{EMBEDDINGS}.weight": torch.ones(300, 64)}),
        r"embed_tokens\.weight has the shape \[300, 64\]",
    ),
}


@pytest.mark.parametrize(("change", "problem"), TENSORS.values(), ids=list(TENSORS))
def test_tensors_that_do_not_fit_are_refused(
    base: Path, tmp_path: Path, change: Callable[[Tensors], object], problem: str
) -> None:
    tensors = matrices(QUERY, 64, 64)
    change(tensors)
    adapter = write_adapter(tmp_path / "adapter", base, tensors)

    with pytest.raises(WeightsError, match=problem):
        merged(adapter, tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("adapter_model.bin", "pickled weights"), ("README.md", "the adapter has no weights")],
)
def test_an_adapter_without_safetensors_is_refused(
    base: Path, tmp_path: Path, name: str, problem: str
) -> None:
    adapter = write_adapter(tmp_path / "adapter", base, {})
    (adapter / "adapter_model.safetensors").rename(adapter / name)

    with pytest.raises(WeightsError, match=problem):
        merged(adapter, tmp_path)


def test_a_quantised_base_is_refused(base: Path, tmp_path: Path) -> None:
    quantised = Path(shutil.copytree(base, tmp_path / "base"))
    config = json.loads((quantised / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes"}
    (quantised / "config.json").write_text(json.dumps(config))
    adapter = write_adapter(tmp_path / "adapter", quantised, matrices(QUERY, 64, 64))

    with pytest.raises(WeightsError, match=r"its base model is quantised .bitsandbytes"):
        merged(adapter, tmp_path)
