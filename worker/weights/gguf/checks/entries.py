"""Check of the entries of a GGUF file's metadata that configurations are made of."""

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.file import GgufFile

_MAX = 1 << 31
_LAYERS, _EXPERTS = 1000, 100_000
_WHOLE: Mapping[str, tuple[int, int]] = {
    "block_count": (1, _LAYERS),
    "context_length": (1, _MAX),
    "embedding_length": (1, _MAX),
    "feed_forward_length": (0, _MAX),
    "attention.head_count": (1, _MAX),
    "attention.head_count_kv": (0, _MAX),
    **dict.fromkeys(("attention.key_length", "attention.value_length"), (1, _MAX)),
    **dict.fromkeys(("attention.key_length_mla", "attention.value_length_mla"), (0, _MAX)),
    **dict.fromkeys(("attention.key_length_swa", "attention.value_length_swa"), (1, _MAX)),
    **dict.fromkeys(("attention.kv_lora_rank", "attention.q_lora_rank"), (1, _MAX)),
    "attention.sliding_window": (0, _MAX),
    "attention.shared_kv_layers": (0, _LAYERS),
    "rope.dimension_count": (1, _MAX),
    "rope.scaling.original_context_length": (1, _MAX),
    **dict.fromkeys(("expert_count", "expert_used_count", "expert_shared_count"), (0, _EXPERTS)),
    **dict.fromkeys(("expert_group_count", "expert_group_used_count"), (0, _EXPERTS)),
    "expert_feed_forward_length": (1, _MAX),
    "expert_shared_feed_forward_length": (0, _MAX),
    "leading_dense_block_count": (0, _LAYERS),
    "nextn_predict_layers": (0, _LAYERS),
    "interleave_moe_layer_step": (1, _LAYERS),
    "full_attention_interval": (1, _LAYERS),
    "embedding_length_per_layer_input": (0, _MAX),
    **dict.fromkeys(("ssm.conv_kernel", "ssm.state_size", "ssm.group_count"), (1, _MAX)),
    **dict.fromkeys(("ssm.time_step_rank", "ssm.inner_size", "shortconv.l_cache"), (1, _MAX)),
    "altup.num_inputs": (1, _MAX),
}
"""Least and largest values of whole numbers, by the short names of their entries."""
_POSITIVE = (
    *("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "rope.freq_base"),
    *("rope.freq_base_swa", "rope.scale_linear", "logit_scale"),
)
"""Entries of numbers beyond 0."""
_PER_LAYER = frozenset(
    {"feed_forward_length", "attention.head_count", "attention.head_count_kv"}
    | {"attention.sliding_window_pattern", "activation_sparsity_scale"}
)
"""Entries that may have a value for each layer."""


def check_entries(file: GgufFile) -> None:
    """Raise `BadCheckpointError` for an entry of another type, or with an impossible value."""
    for problem in chain(_wrong_values(file), _wrong_relations(file)):
        raise BadCheckpointError(f"its metadata describe no network: {problem}")


def _wrong_values(file: GgufFile) -> Iterator[str]:
    for key, (least, most) in _WHOLE.items():
        for value in _values(file, key):
            if type(value) is not int or not least <= value <= most:
                name = _name(file, key)
                yield f"{name} is {value!r:.40}, not a whole number from {least} to {most}"
    for key in _POSITIVE:
        for value in _values(file, key):
            if type(value) not in (int, float) or not 0 < value < math.inf:
                yield f"{_name(file, key)} is {value!r:.40}, not a number above 0"


def _wrong_relations(file: GgufFile) -> Iterator[str]:
    """Yield what is wrong with entries beside others; each by itself is right."""
    layers = _entry(file, "block_count")
    for key in _PER_LAYER:
        value = _entry(file, key)
        if isinstance(value, list) and layers is not None and len(value) != layers:
            yield f"{_name(file, key)} has {len(value)} values for {layers} layers"
    if (drafts := _entry(file, "nextn_predict_layers") or 0) >= (layers or _LAYERS):
        yield f"{_name(file, 'nextn_predict_layers')} is {drafts} of {layers} layers"
    used, experts = _entry(file, "expert_used_count") or 0, _entry(file, "expert_count") or 0
    if used > experts:
        yield f"{_name(file, 'expert_used_count')} is {used} of {experts} experts"
    yield from _wrong_heads(file)


def _wrong_heads(file: GgufFile) -> Iterator[str]:
    heads, groups = _entry(file, "attention.head_count"), _entry(file, "attention.head_count_kv")
    if isinstance(heads, int) and isinstance(groups, int) and groups and heads % groups:
        yield f"{_name(file, 'attention.head_count')} is {heads}, and no multiple of {groups}"
    size, hidden = _entry(file, "attention.key_length"), _entry(file, "embedding_length")
    if size is None and isinstance(heads, int) and hidden is not None:
        if hidden % heads:
            yield f"{_name(file, 'embedding_length')} is {hidden}, and no multiple of {heads} heads"
        size = hidden // heads
    rotary = _entry(file, "rope.dimension_count")
    if rotary is not None and size is not None and (rotary > size or rotary % 2):
        yield f"{_name(file, 'rope.dimension_count')} is {rotary}, of heads of {size}"


def _values(file: GgufFile, key: str) -> list[Any]:
    """Return the values of an entry: none, one, or those of all layers."""
    value = _entry(file, key)
    if value is None:
        return []
    return value if isinstance(value, list) and key in _PER_LAYER else [value]


def _entry(file: GgufFile, key: str) -> Any:
    """Return an entry without a note that it was asked for."""
    return file.metadata.get(_name(file, key))


def _name(file: GgufFile, key: str) -> str:
    return f"{file.architecture}.{key}"
