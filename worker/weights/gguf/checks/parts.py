"""Check that layers of a GGUF file have the parts that networks of its architecture are made of."""

from collections.abc import Collection, Iterable, Iterator

import gguf

from worker.engine.checkpoint.files import name_some
from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.checks.layers import Layers, architecture_of, stem_of
from worker.weights.gguf.fields import Fields
from worker.weights.gguf.file import GgufFile

_TENSOR = gguf.MODEL_TENSOR
_Pair = tuple[set[gguf.MODEL_TENSOR], set[gguf.MODEL_TENSOR]]
_ENDS = {_TENSOR.SSM_A: "", _TENSOR.SSM_DT: ".bias", _TENSOR.FFN_EXP_PROBS_B: ".bias"}
"""Last parts of names that are not `.weight`."""
_OPTIONAL = (
    {_TENSOR.ATTN_ROT_EMBD},
    {_TENSOR.ATTN_Q_NORM, _TENSOR.ATTN_K_NORM},
    {_TENSOR.FFN_EXP_PROBS_B},
    {_TENSOR.FFN_GATE_SHEXP, _TENSOR.FFN_UP_SHEXP, _TENSOR.FFN_DOWN_SHEXP},
    {_TENSOR.NEXTN_EH_PROJ, _TENSOR.NEXTN_EMBED_TOKENS, _TENSOR.NEXTN_ENORM, _TENSOR.NEXTN_HNORM},
    {_TENSOR.NEXTN_SHARED_HEAD_HEAD, _TENSOR.NEXTN_SHARED_HEAD_NORM},
)
"""Parts of which networks of one architecture have all or none."""
_DENSE = frozenset({_TENSOR.FFN_GATE, _TENSOR.FFN_UP, _TENSOR.FFN_DOWN})
_BESIDE_EXPERTS = frozenset({_TENSOR.FFN_POST_NORM_1, _TENSOR.FFN_POST_NORM_2})
"""Norms of networks whose layers have a dense part beside their experts."""
_OF_EXPERTS = _BESIDE_EXPERTS | {
    *(_TENSOR.FFN_GATE_EXP, _TENSOR.FFN_UP_EXP, _TENSOR.FFN_DOWN_EXP, _TENSOR.FFN_GATE_UP_EXP),
    *(_TENSOR.FFN_GATE_INP, _TENSOR.FFN_PRE_NORM_2),
}
_OF_INPUTS = frozenset(
    {_TENSOR.PER_LAYER_INP_GATE, _TENSOR.PER_LAYER_PROJ, _TENSOR.PER_LAYER_POST_NORM}
)
"""Parts of networks of which each layer has embeddings of its own."""
_INSTEAD: tuple[_Pair, ...] = (
    ({_TENSOR.ATTN_QKV}, {_TENSOR.ATTN_Q, _TENSOR.ATTN_K, _TENSOR.ATTN_V}),
    ({_TENSOR.FFN_GATE_UP_EXP}, {_TENSOR.FFN_GATE_EXP, _TENSOR.FFN_UP_EXP}),
    ({_TENSOR.ATTN_Q_A, _TENSOR.ATTN_Q_A_NORM, _TENSOR.ATTN_Q_B}, {_TENSOR.ATTN_Q}),
    ({_TENSOR.ATTN_KV_B}, {_TENSOR.ATTN_K_B, _TENSOR.ATTN_V_B}),
    ({_TENSOR.ATTN_KV_A_MQA}, {_TENSOR.ATTN_K, _TENSOR.ATTN_V}),
)
"""Parts of which networks have the ones or the others; of the first pair they have both if some
layers have a state instead of attention."""


def check_parts(file: GgufFile, fields: Fields, layers: Layers) -> None:
    """Raise `BadCheckpointError` if no layer has a tensor that some of them need."""
    table = gguf.MODEL_TENSORS[architecture_of(file)]
    names = {name for layer in layers.members.values() for name in layer}
    has = {part for part in table if _name(part) in names}
    left_out = _left_out(fields, layers, has, has_experts=bool(file.get("expert_count")))
    lacking = [
        _name(part)
        for part in table
        if _is_of_layers(part) and part not in has and part not in left_out
    ]
    if lacking:
        raise BadCheckpointError(f"each layer lacks {name_some(lacking, 'tensors')}")


def _name(part: gguf.MODEL_TENSOR) -> str:
    """Return the name of a part in its layer."""
    return stem_of(part) + _ENDS.get(part, ".weight")


def _is_of_layers(part: gguf.MODEL_TENSOR) -> bool:
    return gguf.TENSOR_NAMES[part].startswith("blk.")


def _left_out(
    fields: Fields, layers: Layers, has: Collection[gguf.MODEL_TENSOR], *, has_experts: bool
) -> Collection[gguf.MODEL_TENSOR]:
    """Return the parts that this network does not need."""
    mixers = {kind.mixer for kind in layers.kinds.values()}
    left_out = set(_replaced(has, _INSTEAD[1:] if "linear_attention" in mixers else _INSTEAD))
    for together in _OPTIONAL:
        if together.isdisjoint(has):
            left_out |= together
    some_are_dense = not all(kind.has_experts for kind in layers.kinds.values())
    if not has_experts:
        left_out |= _OF_EXPERTS
    elif not some_are_dense and _BESIDE_EXPERTS.isdisjoint(has):
        left_out |= _DENSE
    if not fields.get("hidden_size_per_layer_input"):
        left_out |= _OF_INPUTS
    if not layers.has_own_values and mixers == {"full_attention"}:
        left_out.add(_TENSOR.ATTN_V)
    return left_out


def _replaced(
    has: Collection[gguf.MODEL_TENSOR], pairs: Iterable[_Pair]
) -> Iterator[gguf.MODEL_TENSOR]:
    """Yield the parts that a file has others instead of."""
    for pair in pairs:
        for ours, others in (pair, pair[::-1]):
            if not ours.isdisjoint(has):
                yield from others
