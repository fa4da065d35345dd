"""Check that no tensor of a network is missing whose layers are all alike, told by names alone.

It finds in a moment what the comparison with the network finds as well, after an import of torch
and transformers. Each family of `ALIKE` was compared with its network.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from worker.engine.checkpoint.files import Checkpoint, name_some
from worker.engine.checkpoint.layers import (
    LAYER,
    Stacks,
    find_lacking_layers,
    split_stacks,
)
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.checkpoint.weight_files import find_missing_files, read_tensors
from worker.engine.interface import BadCheckpointError

ALIKE = frozenset(
    {
        *("llama", "mistral", "ministral", "ministral3", "mixtral", "qwen2", "qwen3", "qwen3_moe"),
        *("gemma", "gemma2", "gemma3_text", "phi3", "granite", "granitemoe", "smollm3", "olmo2"),
        *("olmo3", "olmoe", "cohere", "cohere2", "glm", "glm4", "glm4_moe", "seed_oss", "arcee"),
        *("ernie4_5", "exaone4", "helium", "apertus", "minimax_m2", "gpt_oss", "deepseek_v2"),
        *("deepseek_v3", "dots1", "hunyuan_v1_dense", "vaultgemma"),
    }
)
"""Families, by the `model_type` of config.json, whose layers differ at most as `_kind` says."""
_ODD_LAYERS = ("mlp_only_layers", "num_kv_shared_layers", "moe_layer_indices")
_SPARSE_STEP = "decoder_sparse_step"
_MAX_LAYERS = 1000
_OUTPUT = "lm_head.weight"
_PACKED = (
    *(".qweight", ".qzeros", ".scales", ".g_idx", ".weight_packed", ".weight_scale"),
    *(".weight_shape", ".weight_zero_point", ".weight_g_idx", ".weight_scale_inv"),
    *(".input_scale", ".output_scale", ".activation_scale", ".bias"),
)
"""Ends of the names of what may stand for a weight, or beside it, in quantised checkpoints."""


def find_lacking_tensors(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if a network lacks tensors in a layer, or before or after its layers."""
    try:
        if not checkpoint.is_fetched or any(find_missing_files(checkpoint, config)):
            return
        names = set(read_tensors(checkpoint))
    except BadCheckpointError:  # reported by the checks of the files, as are missing ones
        return
    if lacking := _lacking(names, config):
        yield f"it lacks {name_some(lacking, 'tensors')}"
    else:
        yield from find_lacking_layers(checkpoint, config)


def _lacking(names: set[str], config: Mapping[str, Any]) -> list[str]:
    """Return the tensors that are missing, none if they cannot be told by these names."""
    if find_quantization(config, {}) is not None:
        names = {_weight(name) for name in names}
    stacks = split_stacks(LAYER, names)
    num_layers = config.get("num_hidden_layers")
    if not isinstance(num_layers, int) or num_layers > _MAX_LAYERS:
        return []
    if not _is_alike(config) or len(stacks) != 1:
        return []
    return sorted([*_in_layers(stacks, num_layers, config), *_outside(stacks, names, config)])


def _is_alike(config: Mapping[str, Any]) -> bool:
    is_odd = any(config.get(name) for name in _ODD_LAYERS) or config.get(_SPARSE_STEP, 1) != 1
    return config.get("model_type") in ALIKE and not is_odd


def _weight(name: str) -> str:
    """Return the name of the weight that a tensor of a quantised checkpoint belongs to."""
    for end in _PACKED:
        if name.endswith(end):
            return f"{name.removesuffix(end)}.weight"
    return name.removesuffix("_blocks").removesuffix("_scales")


def _in_layers(stacks: Stacks, num_layers: int, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what layers lack of the tensors that most layers of their kind have."""
    [(stack, layers)] = stacks.items()
    kinds: dict[bool, list[int]] = defaultdict(list)
    for layer in range(num_layers):
        kinds[_kind(layer, config)].append(layer)
    for members in kinds.values():
        usual = _usual(layers.get(layer, set()) for layer in members)
        for layer in members:
            missing = usual - layers.get(layer, set())
            yield from (f"{stack}.{layer}.{name}" for name in missing)


def _kind(layer: int, config: Mapping[str, Any]) -> bool:
    """Return True for one of the first layers, which have no experts in some families."""
    return layer < int(config.get("first_k_dense_replace") or 0)


def _usual(layers: Iterable[set[str]]) -> frozenset[str]:
    """Return the tensors of more than half of some layers; none if these are not alike."""
    counts = Counter(map(frozenset, layers))
    usual, number = counts.most_common(1)[0]
    return usual if number > counts.total() // 2 and number > 1 else frozenset()


def _outside(stacks: Stacks, names: set[str], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tensors that a network lacks before and after its layers."""
    root = next(iter(stacks)).removesuffix("layers")
    expected = [f"{root}embed_tokens.weight", f"{root}norm.weight"]
    if config.get("tie_word_embeddings") is False:
        expected.append(_OUTPUT)
    yield from (name for name in expected if name not in names)
