"""What config.json, names and files say of a model that is not served, or is."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worker.engine.checkpoint.examine import checks_of, examine
from worker.engine.checkpoint.files import Checkpoint
from worker.engine.checkpoint.quantizations import QUANTIZATIONS, find_quantization


def examined(folder: Path, **config: Any) -> list[str]:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | config))
    return [fault.problem for fault in examine(Checkpoint.of_folder(folder))]


def quantised(**section: Any) -> dict[str, Any]:
    return {"quantization_config": section}


FORMATS: dict[str, dict[str, Any]] = {
    "FP8": quantised(quant_method="fp8", weight_block_size=[128, 128]),
    "MXFP4": quantised(quant_method="mxfp4"),
    "GPTQ": quantised(quant_method="gptq", bits=4, desc_act=True),
    "AWQ": quantised(quant_method="awq", bits=4),
    "compressed-tensors W4A16": quantised(
        quant_method="compressed-tensors", format="pack-quantized"
    ),
    "compressed-tensors FP8": quantised(
        quant_method="compressed-tensors", format="float-quantized"
    ),
    "compressed-tensors NVFP4": quantised(
        quant_method="compressed-tensors", format="nvfp4-pack-quantized"
    ),
    "compressed-tensors": {"compression_config": {"format": "dense"}},
    "ModelOpt NVFP4": quantised(quant_method="modelopt", quant_algo="NVFP4"),
    "ModelOpt FP8": quantised(quant_algo="FP8"),
    "ModelOpt": quantised(quant_method="modelopt", quant_algo="W4A8_AWQ"),
    "bitsandbytes": quantised(quant_method="bitsandbytes", load_in_4bit=True),
    "torchao": quantised(quant_method="torchao", quant_type={"default": {}}),
    "HQQ": quantised(quant_method="hqq"),
    "quanto": quantised(quant_method="quanto", weights="int4"),
    "EXL2": quantised(quant_method="exl2", bits=4.0),
    "EXL3": quantised(quant_method="exl3", bits=3.5),
    "AutoRound": quantised(quant_method="auto-round", packing_format="auto_round:auto_gptq"),
    "MLX": {"quantization": {"group_size": 64, "bits": 4}},
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_quantisation_is_known_by_its_name(name: str, is_nested: bool) -> None:
    config = {"text_config": FORMATS[name]} if is_nested else FORMATS[name]

    found = find_quantization(config, {})

    assert found is not None
    assert found.name == name
    assert found in QUANTIZATIONS


def test_weights_that_are_not_quantised_have_none() -> None:
    assert find_quantization({"model_type": "llama", "text_config": {}}, {}) is None


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}}, "ModelOpt FP8"),
        ("quantize_config.json", {"bits": 4}, "GPTQ"),
        ("quant_config.json", {"w_bit": 4}, "AWQ"),
    ],
)
def test_a_quantisation_may_be_told_by_a_file_of_its_own(
    file: str, content: dict[str, Any], name: str
) -> None:
    found = find_quantization({}, {file: content})

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("method", ["hqq", "exl3", "one-of-tomorrow"])
def test_a_quantisation_that_is_not_read_is_refused_by_its_name(folder: Path, method: str) -> None:
    problems = examined(folder, **quantised(quant_method=method))

    assert len(problems) == 1
    assert method in problems[0].lower()
    assert "not supported (supported are AWQ, " in problems[0]


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "BERT": ({"model_type": "bert", "architectures": ["BertModel"]}, "an encoder"),
    "masked": ({"architectures": ["LlamaForMaskedLM"]}, "an encoder"),
    "T5": (
        {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
        "an encoder-decoder",
    ),
    "said so": ({"is_encoder_decoder": True, "architectures": []}, "an encoder-decoder"),
    "Whisper": ({"model_type": "whisper", "architectures": ["W"]}, "a speech recogniser"),
    "classifier": (
        {"architectures": ["LlamaForSequenceClassification"]},
        "a classifier or reranker (LlamaForSequenceClassification)",
    ),
    "headless": (
        {"architectures": ["LlamaModel"]},
        "a network without an output layer, as embedding models are",
    ),
    "reward model": ({"architectures": ["Qwen2ForRewardModel"]}, "a reward model"),
}


@pytest.mark.parametrize(("config", "kind"), KINDS.values(), ids=list(KINDS))
def test_a_network_that_answers_no_messages_is_refused_by_its_kind(
    folder: Path, config: dict[str, Any], kind: str
) -> None:
    problems = examined(folder, **config)

    assert problems[0].startswith(f"it is {kind}")
    assert problems[0].endswith("not a language model that generates answers")


@pytest.mark.parametrize("name", ["modules.json", "config_sentence_transformers.json"])
def test_an_embedding_model_is_told_by_its_files(folder: Path, name: str) -> None:
    (folder / name).write_text("[]")

    assert examined(folder)[0].startswith(f"it is an embedding model ({name})")


@pytest.mark.parametrize(
    ("name", "task", "kind"),
    [
        ("Qwen3-Reranker-0.6B", "", "a reranker by its name"),
        ("Qwen3-Embedding-4B", "", "an embedding model by its name"),
        ("owner/tiny", "text-ranking", "a reranker (its task is text-ranking)"),
        ("owner/tiny", "sentence-similarity", "an embedding model (its task"),
    ],
)
def test_a_model_may_be_told_by_its_name_or_task(
    folder: Path, name: str, task: str, kind: str
) -> None:
    sizes = Checkpoint.of_folder(folder).sizes
    checkpoint = Checkpoint(folder=folder, sizes=sizes, name=name, task=task)

    assert next(examine(checkpoint)).problem.startswith(f"it is {kind}")


@pytest.mark.parametrize(
    ("name", "task"),
    [("Llama-3.2-1B-Instruct", "text-generation"), ("embedded-7b-chat", ""), ("owner/v", "any")],
)
def test_other_names_and_tasks_are_those_of_language_models(
    folder: Path, name: str, task: str
) -> None:
    sizes = Checkpoint.of_folder(folder).sizes

    assert not list(examine(Checkpoint(folder=folder, sizes=sizes, name=name, task=task)))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "deepseek_v32"}, "the family deepseek_v32 are not supported: .*indexer"),
        ({"model_type": "llama4"}, "the family llama4 are not supported: transformers fails"),
        ({"text_config": {"model_type": "mistral_large4_text"}}, "mistral_large4_text .*indexer"),
        ({"index_topk": 2048}, "indexer .index_topk in config.json"),
        ({"model_type": "rwkv"}, "rwkv are not supported: it is a recurrent network"),
        ({"model_type": "diffllama"}, "diffllama are not supported"),
    ],
)
def test_a_family_that_is_not_computed_is_refused_by_its_name(
    folder: Path, config: dict[str, Any], reason: str
) -> None:
    problems = examined(folder, **config)

    assert re.search(reason, problems[0])


@pytest.mark.parametrize("name", ["tokenizer_config.json", "chat_template.json"])
@pytest.mark.parametrize(
    "template", ["{{ messages }}", [{"name": "default", "template": "{{ messages }}"}]]
)
def test_a_template_may_be_in_other_files(folder: Path, name: str, template: object) -> None:
    (folder / "chat_template.jinja").unlink()
    (folder / name).write_text(json.dumps({"chat_template": template}))

    assert examined(folder) == []


def test_statements_that_transformers_adds_are_no_errors_of_a_template(folder: Path) -> None:
    text = (
        "{% for m in messages %}{%- generation %}{{ m }}{% endgeneration -%}{% break %}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(text)

    assert examined(folder) == []


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Return a function that makes the checkpoint of a model on a hub from names of its files."""

    def make(*names: str, **content: Any) -> Checkpoint:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | content))
        sizes = dict.fromkeys(("config.json", *names), 1)
        return Checkpoint(folder=tmp_path, sizes=sizes, name="owner/tiny", is_fetched=False)

    return make


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("params.json", "consolidated.safetensors"), "only consolidated.safetensors"),
        (("a.gguf", "b.gguf"), "it has no safetensors files"),
        (("pytorch_model.bin",), "it has pickled weights only"),
    ],
)
def test_weights_of_a_hub_are_judged_by_their_names(
    small: Callable[..., Checkpoint], names: tuple[str, ...], problem: str
) -> None:
    problems = [fault.problem for fault in examine(small(*names))]

    assert any(problem in text for text in problems)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["params.json", "consolidated.safetensors"], "it is in Mistral's own format"),
        (["model_index.json"], "it is a diffusion pipeline"),
        (["b.gguf", "a.gguf"], "GGUF files: fetch one and name it, such as a.gguf"),
    ],
)
def test_a_folder_without_config_is_told_by_what_it_has(
    tmp_path: Path, names: list[str], problem: str
) -> None:
    sizes = dict.fromkeys(names, 1)

    found = next(examine(Checkpoint(folder=tmp_path, sizes=sizes, name="tiny")))

    assert problem in found.problem


def test_other_engines_read_other_formats_and_families(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content |= {"model_type": "deepseek_v32", **quantised(quant_method="bitsandbytes")}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "tokenizer.json").unlink()

    found = [fault.check for fault in examine(Checkpoint.of_folder(folder), checks_of("vllm"))]

    assert found == ["tokenizer"]
