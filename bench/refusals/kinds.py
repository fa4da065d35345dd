"""Kinds of checkpoints that are refused, as sparse files of 100 GB: headers, and no weights."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.refusals.kind import Kind, Write
from bench.refusals.sparse_weights import Shapes, llama_shapes, write_header, write_sparse

_NUM_LAYERS = 57
_LAST = _NUM_LAYERS - 1
_QUERY = "self_attn.q_proj"
_CONFIG: dict[str, Any] = {
    **{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"},
    **{"num_hidden_layers": _NUM_LAYERS, "hidden_size": 8192, "intermediate_size": 28_672},
    **{"num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128_256},
    **{"tie_word_embeddings": False},
}
_GROUP = 128


def write_whole(
    folder: Path,
    shapes: Shapes | None = None,
    dtypes: Mapping[str, str] | None = None,
    **fields: Any,
) -> None:
    """Write a checkpoint with nothing wrong but what `shapes` and `fields` change."""
    _write_json(folder / "config.json", _CONFIG | fields)
    _write_json(folder / "tokenizer.json", {"model": {"type": "BPE"}})
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    shapes = llama_shapes(_NUM_LAYERS) if shapes is None else shapes
    write_sparse(folder, shapes, dtypes={**_DTYPES, **(dtypes or {})})


_DTYPES = {".qweight": "I32", ".qzeros": "I32", ".scales": "F16", ".weight_scale_inv": "F32"}
_DTYPES |= {".weight_packed": "I32", ".weight_shape": "I64", "_blocks": "U8", "_scales": "U8"}


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content))


def _lacking(name: str) -> Write:
    shapes = llama_shapes(_NUM_LAYERS)
    kept = {key: shape for key, shape in shapes.items() if not key.startswith(name)}
    return lambda folder: write_whole(folder, kept)


def _quantised(**settings: Any) -> Write:
    return lambda folder: write_whole(folder, quantization_config=settings)


def _packed(
    settings: Mapping[str, Any],
    parts: Callable[[int, int], Shapes],
    gone: str,
    dtypes: Mapping[str, str] | None = None,
) -> Write:
    """Return a writer of packed weights, of which one lacks a part."""

    def write(folder: Path) -> None:
        shapes: dict[str, Any] = {}
        for name, shape in llama_shapes(_NUM_LAYERS).items():
            if "_proj" not in name:
                shapes[name] = shape
                continue
            stem = name.removesuffix("weight")
            shapes |= {stem + part: of for part, of in parts(*shape).items()}
        del shapes[f"model.layers.0.{_QUERY}.{gone}"]
        write_whole(folder, shapes, dtypes, quantization_config=settings)

    return write


def _mxfp4(folder: Path) -> None:
    """Write experts as gpt-oss has them, of which one layer's lack the scales."""
    blocks = [128, 5760, 90, 16]
    shapes: dict[str, Any] = {
        name: shape for name, shape in llama_shapes(_NUM_LAYERS).items() if "_proj" not in name
    }
    for layer in range(_NUM_LAYERS):
        stem = f"model.layers.{layer}.mlp.experts.gate_up_proj"
        shapes |= {f"{stem}_blocks": blocks, f"{stem}_scales": blocks[:-1]}
    del shapes["model.layers.0.mlp.experts.gate_up_proj_scales"]
    write_whole(folder, shapes, model_type="gpt_oss", quantization_config={"quant_method": "mxfp4"})


def _fp8(num_outputs: int, num_inputs: int) -> Shapes:
    scales = [num_outputs // _GROUP, num_inputs // _GROUP]
    return {"weight": [num_outputs, num_inputs], "weight_scale_inv": scales}


def _awq(num_outputs: int, num_inputs: int) -> Shapes:
    groups = num_inputs // _GROUP
    return {
        "qweight": [num_inputs, num_outputs // 8],
        "qzeros": [groups, num_outputs // 8],
        "scales": [groups, num_outputs],
    }


def _gptq(num_outputs: int, num_inputs: int) -> Shapes:
    return {**_awq(num_outputs, num_inputs), "qweight": [num_inputs // 8, num_outputs]}


def _compressed(num_outputs: int, num_inputs: int) -> Shapes:
    scales = [num_outputs, num_inputs // _GROUP]
    packed = [num_outputs, num_inputs // 8]
    return {"weight_packed": packed, "weight_scale": scales, "weight_shape": [2]}


def _without(*patterns: str) -> Write:
    def write(folder: Path) -> None:
        write_whole(folder)
        for file in [file for pattern in patterns for file in folder.glob(pattern)]:
            file.unlink()

    return write


def _cut_off(folder: Path) -> None:
    write_whole(folder)
    with next(folder.glob("model-00001-*")).open("r+b") as file:
        file.truncate(1 << 30)


def _modelopt(folder: Path) -> None:
    write_whole(folder)
    _write_json(folder / "hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}})


def _adapter(**config: Any) -> Write:
    def write(folder: Path) -> None:
        content = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "base"}
        (folder / "base").mkdir()
        write_whole(folder / "base")
        (folder / "adapter").mkdir()
        base = str(folder / "base")
        _write_json(
            folder / "adapter" / "adapter_config.json",
            content | {"base_model_name_or_path": base} | config,
        )
        place = f"base_model.model.model.layers.99.{_QUERY}"
        tensors = {f"{place}.lora_A.weight": [4, 8192], f"{place}.lora_B.weight": [8192, 4]}
        ends = {name: 2 * shape[0] * shape[1] for name, shape in tensors.items()}
        header, end = {}, 0
        for name, shape in tensors.items():
            places = [end, end + ends[name]]
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": places}
            end += ends[name]
        write_header(folder / "adapter" / "adapter_model.safetensors", header)

    return write


_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": _GROUP}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": _GROUP}
_FP8 = {"quant_method": "fp8", "weight_block_size": [_GROUP, _GROUP]}
_W4A16 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
}

KINDS: dict[str, Kind] = {
    "a tensor of the first layer gone": Kind(
        _lacking(f"model.layers.0.{_QUERY}"), "it lacks 1 tensor (model.layers.0."
    ),
    "a tensor of the last layer gone": Kind(
        _lacking(f"model.layers.{_LAST}.{_QUERY}"), f"it lacks 1 tensor (model.layers.{_LAST}."
    ),
    "the last layer gone": Kind(
        _lacking(f"model.layers.{_LAST}."), f"it lacks 9 tensors (model.layers.{_LAST}."
    ),
    "the output layer gone": Kind(_lacking("lm_head"), "it lacks 1 tensor (lm_head.weight)"),
    "the embeddings gone": Kind(_lacking("model.embed"), "it lacks 1 tensor (model.embed_tokens"),
    "no index": Kind(_without("*.index.json"), "it has neither model.safetensors nor model."),
    "a shard gone": Kind(_without("model-00003-*"), "its index names 1 file (model-00003-of-"),
    "a shard cut off": Kind(_cut_off, "is damaged: it has 1073741824 of "),
    **{
        method: Kind(_quantised(quant_method=method), f"quantised by {name}, which is not supp")
        for method, name in {
            **{"bitsandbytes": "bitsandbytes", "torchao": "torchao", "hqq": "HQQ"},
            **{"auto-round": "AutoRound", "quanto": "quanto", "exl2": "EXL2", "exl3": "EXL3"},
        }.items()
    },
    "NVFP4": Kind(
        _quantised(quant_method="compressed-tensors", format="nvfp4-pack-quantized"),
        "quantised by compressed-tensors NVFP4, which is not supported",
    ),
    "ModelOpt FP8": Kind(_modelopt, "quantised by ModelOpt FP8, which is not supported"),
    "AWQ without scales": Kind(_packed(_AWQ, _awq, "scales"), ".scales is missing"),
    "GPTQ without zero points": Kind(_packed(_GPTQ, _gptq, "qzeros"), ".qzeros is missing"),
    "W4A16 without scales": Kind(
        _packed(_W4A16, _compressed, "weight_scale"), ".weight_scale is missing"
    ),
    "FP8 without scales": Kind(
        _packed(_FP8, _fp8, "weight_scale_inv", {"_proj.weight": "F8_E4M3"}),
        ".weight_scale_inv is missing",
    ),
    "MXFP4 without scales": Kind(_mxfp4, "_scales is missing"),
    "an adapter without a place": Kind(
        _adapter(), "its base model has no place for 1 tensor", "adapter"
    ),
    "an adapter with DoRA": Kind(_adapter(use_dora=True), "with DoRA", "adapter"),
}
