"""Fields of config.json for Gemma 3n and 4, whose layers differ in heads, sizes and sharing."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.fields import Fields, head_size, require
from worker.weights.gguf.file import GgufFile
from worker.weights.gguf.rope import read_factors

_THETA, _LOCAL_THETA = 1_000_000.0, 10_000.0
_FREQS = "rope_freqs.weight"
_CAP_OF_3N = 30.0
"""Cap of the logits of Gemma 3n, which llama.cpp has in its code."""


def gemma3n_fields(file: GgufFile) -> Fields:
    """Return the fields of Gemma 3n."""
    full = {"rope_type": "default", "rope_theta": float(file.get("rope.freq_base", _THETA))}
    scales = require(file, "activation_sparsity_scale")
    return _shared_fields(file, full) | {
        "final_logit_softcapping": float(file.get("final_logit_softcapping", _CAP_OF_3N)),
        "altup_active_idx": require(file, "altup.active_idx"),
        "altup_num_inputs": require(file, "altup.num_inputs"),
        "laurel_rank": _rows(file, "blk.0.laurel_l.weight"),
        "activation_sparsity_pattern": [_share_below(scale) for scale in scales],
    }


def gemma4_fields(file: GgufFile) -> Fields:
    """Return the fields of Gemma 4, dense or with experts."""
    kinds = _layer_types(file)
    fields = _shared_fields(file, _proportional_rope(file))
    heads, sizes = file.get("attention.head_count_kv"), file.get("feed_forward_length")
    full = kinds.index("full_attention")
    if isinstance(heads, list):
        local = kinds.index("sliding_attention") if "sliding_attention" in kinds else full
        fields |= {"num_key_value_heads": heads[local], "num_global_key_value_heads": heads[full]}
    if isinstance(sizes, list):
        fields |= {"intermediate_size": min(sizes), "use_double_wide_mlp": len(set(sizes)) > 1}
    cap = file.get("final_logit_softcapping")
    return fields | {
        "head_dim": require(file, "attention.key_length_swa"),
        "global_head_dim": head_size(file),
        "attention_k_eq_v": f"blk.{full}.attn_v.weight" not in file.tensors,
        "final_logit_softcapping": float(cap) if cap else None,
        **_experts(file),
    }


def of_shared_layers(file: GgufFile) -> re.Pattern[str]:
    """Return a pattern of the keys and values of layers that use those of others."""
    num_layers = require(file, "block_count")
    first = num_layers - (file.get("attention.shared_kv_layers") or 0)
    layers = "|".join(map(str, range(first, num_layers)))
    return re.compile(rf"^blk\.({layers})\.attn_(k|v|k_norm)\.weight$" if layers else r"(?!)")


def _shared_fields(file: GgufFile, full_rope: Mapping[str, Any]) -> Fields:
    local = float(file.get("rope.freq_base_swa", _LOCAL_THETA))
    per_layer = "per_layer_token_embd.weight"
    return {
        "rope_parameters": {
            "full_attention": dict(full_rope),
            "sliding_attention": {"rope_type": "default", "rope_theta": local},
        },
        "layer_types": _layer_types(file),
        "sliding_window": require(file, "attention.sliding_window"),
        "num_kv_shared_layers": file.get("attention.shared_kv_layers") or 0,
        "hidden_size_per_layer_input": file.get("embedding_length_per_layer_input") or 0,
        "vocab_size_per_layer_input": _rows(file, per_layer) if per_layer in file.tensors else 0,
    }


def _layer_types(file: GgufFile) -> list[str]:
    kinds = ("full_attention", "sliding_attention")
    return [kinds[bool(is_local)] for is_local in require(file, "attention.sliding_window_pattern")]


def _proportional_rope(file: GgufFile) -> Fields:
    """Return positions by which a part of each pair of numbers rotates, the first ones."""
    theta = float(file.get("rope.freq_base", _THETA))
    if _FREQS not in file.tensors:
        raise BadCheckpointError(f"it lacks 1 tensor ({_FREQS})")
    divisors = read_factors(file, _FREQS, head_size(file))
    rotates = divisors == 1
    count = int(rotates.sum())
    # What does not rotate is divided by a number beyond all others.
    if not (np.all(rotates[:count]) and np.all(divisors[count:] >= 1e29)):
        raise BadCheckpointError(
            f"its rotary positions are scaled by factors ({_FREQS}) that are not those of Gemma 4"
        )
    share = count / len(divisors)
    return {"rope_type": "proportional", "rope_theta": theta, "partial_rotary_factor": share}


def _experts(file: GgufFile) -> Fields:
    if not file.get("expert_count"):
        return {"enable_moe_block": False}
    return {
        "enable_moe_block": True,
        "num_experts": require(file, "expert_count"),
        "top_k_experts": require(file, "expert_used_count"),
        "moe_intermediate_size": require(file, "expert_feed_forward_length"),
    }


def _rows(file: GgufFile, name: str) -> int:
    if name not in file.tensors:
        raise BadCheckpointError(f"it lacks 1 tensor ({name})")
    return file.tensors[name].shape[0]


def _share_below(deviations: float) -> float:
    """Return the share of a normal distribution below so many standard deviations."""
    return round(0.5 * (1 + math.erf(deviations / math.sqrt(2))), 6)
