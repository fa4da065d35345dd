"""Changes of values that the converter of llama.cpp makes, and here are undone."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Transform = Callable[[Array, Mapping[str, Any]], Array]
Transforms = tuple[tuple[re.Pattern[str], Transform], ...]


@dataclass(frozen=True, slots=True)
class Join:
    """A tensor of transformers that is several in a GGUF file, or has its axes in another order."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]
    """Names of the tensors within a layer."""
    join: Callable[[Sequence[Array], Mapping[str, Any]], Array]


def transform(name: str, values: Array, config: Mapping[str, Any], rows: Transforms) -> Array:
    """Return the values of a tensor of transformers, by the first row whose pattern it has."""
    for pattern, change in rows:
        if pattern.search(name):
            return change(values, config)
    return values


def _halves_of_queries(values: Array, config: Mapping[str, Any]) -> Array:
    return _to_halves(values, config["num_attention_heads"])


def _halves_of_keys(values: Array, config: Mapping[str, Any]) -> Array:
    return _to_halves(values, config["num_key_value_heads"])


def _to_halves(values: Array, num_heads: int) -> Array:
    """Reorder rows whose neighbours rotate together so that two halves of a head do."""
    size = len(values) // num_heads
    pairs = values.reshape(num_heads, size // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)


def _centre(values: Array, config: Mapping[str, Any]) -> Array:
    """Return the weights of a norm around 0 instead of 1."""
    del config
    return values - np.float32(1)


PAIRED: Transforms = (
    (re.compile(r"\.q_proj\.(weight|bias)$"), _halves_of_queries),
    (re.compile(r"\.k_proj\.(weight|bias)$"), _halves_of_keys),
)
"""Networks of the converter's class for Llama, whose queries and keys are reordered."""
CENTRED: Transforms = ((re.compile(r"norm\.weight$"), _centre),)
"""Networks whose norms multiply by one more than their weights."""


def _interleave_columns(parts: Sequence[Array], config: Mapping[str, Any]) -> Array:
    """Join gate and up, [experts, outputs, inputs] each, to alternating columns."""
    del config
    gate, up = (part.swapaxes(1, 2) for part in parts)
    return np.stack([gate, up], axis=-1).reshape(*gate.shape[:2], -1)


def _interleave_biases(parts: Sequence[Array], config: Mapping[str, Any]) -> Array:
    del config
    return np.stack(parts, axis=-1).reshape(len(parts[0]), -1)


def _inputs_first(parts: Sequence[Array], config: Mapping[str, Any]) -> Array:
    del config
    return parts[0].swapaxes(1, 2)


def _only(parts: Sequence[Array], config: Mapping[str, Any]) -> Array:
    del config
    return parts[0]


def _one_after_the_other(parts: Sequence[Array], config: Mapping[str, Any]) -> Array:
    del config
    return np.concatenate(parts, axis=1)


GPT_OSS: tuple[Join, ...] = (
    Join(
        re.compile(r"\.experts\.gate_up_proj$"),
        ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
        _interleave_columns,
    ),
    Join(
        re.compile(r"\.experts\.gate_up_proj_bias$"),
        ("ffn_gate_exps.bias", "ffn_up_exps.bias"),
        _interleave_biases,
    ),
    Join(re.compile(r"\.experts\.down_proj$"), ("ffn_down_exps.weight",), _inputs_first),
    Join(re.compile(r"\.experts\.down_proj_bias$"), ("ffn_down_exps.bias",), _only),
)
GRANITE_MOE: tuple[Join, ...] = (
    Join(
        re.compile(r"\.input_linear\.weight$"),
        ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
        _one_after_the_other,
    ),
)


PACKED_EXPERTS: tuple[Join, ...] = (
    Join(
        re.compile(r"\.experts\.gate_up_proj$"),
        ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
        _one_after_the_other,
    ),
)
"""Networks whose experts are in one tensor each, gate before up."""
GEMMA_4: tuple[Join, ...] = (
    Join(re.compile(r"\.router\.scale$"), ("ffn_gate_inp.scale",), _only),
    Join(re.compile(r"\.router\.per_expert_scale$"), ("ffn_down_exps.scale",), _only),
)


def _keys_and_values(parts: Sequence[Array], config: Mapping[str, Any]) -> Array:
    """Join keys, [heads, latent, size], and values, [heads, size, latent], of the same heads."""
    del config
    keys, values = parts
    return np.concatenate([keys.swapaxes(1, 2), values], axis=1).reshape(-1, keys.shape[1])


LATENT: tuple[Join, ...] = (
    Join(
        re.compile(r"\.kv_b_proj\.weight$"),
        ("attn_k_b.weight", "attn_v_b.weight"),
        _keys_and_values,
    ),
)
"""Networks whose keys and values are made of a latent; older files have them in one tensor."""


def _rows_of_values(values: Array, config: Mapping[str, Any]) -> Array:
    return _group_heads(values, config, config["linear_value_head_dim"])


def _row_of_each_head(values: Array, config: Mapping[str, Any]) -> Array:
    return _group_heads(values, config, 1)


def _decay(values: Array, config: Mapping[str, Any]) -> Array:
    decay: Array = np.log(-values)
    return _group_heads(decay, config, 1)


def _columns_of_values(values: Array, config: Mapping[str, Any]) -> Array:
    return _rows_of_values(values.T, config).T


def _rows_after_keys(values: Array, config: Mapping[str, Any]) -> Array:
    """Reorder the last rows, of values, which follow those of queries and keys."""
    num_before = 2 * config["linear_key_head_dim"] * config["linear_num_key_heads"]
    grouped = _rows_of_values(values[num_before:], config)
    return np.concatenate([values[:num_before], grouped])


def _group_heads(values: Array, config: Mapping[str, Any], size: int) -> Array:
    """Reorder rows so that the heads of values that share a head of keys are neighbours."""
    num_keys = config["linear_num_key_heads"]
    per_key = config["linear_num_value_heads"] // num_keys
    tiled = values.reshape(per_key, num_keys, size, *values.shape[1:])
    return tiled.swapaxes(0, 1).reshape(values.shape)


QWEN35: Transforms = (
    (re.compile(r"\.linear_attn\.(in_proj_qkv|conv1d)\.weight$"), _rows_after_keys),
    (re.compile(r"\.linear_attn\.in_proj_z\.weight$"), _rows_of_values),
    (re.compile(r"\.linear_attn\.(in_proj_[ab]\.weight|dt_bias)$"), _row_of_each_head),
    (re.compile(r"\.linear_attn\.A_log$"), _decay),
    (re.compile(r"\.linear_attn\.out_proj\.weight$"), _columns_of_values),
    (re.compile(r"(?<!linear_attn\.)norm\.weight$"), _centre),
)
"""Networks with gated delta layers, whose heads of values the converter reorders."""
