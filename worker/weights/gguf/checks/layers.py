"""Check that a GGUF file has the tensors of each layer, told by what layers of one kind share."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import gguf

from worker.engine.checkpoint.files import name_some
from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.fields import Fields
from worker.weights.gguf.file import GgufFile, GgufTensor

_LAYER = re.compile(r"^blk\.(\d+)\.(.+)$")
_SUFFIX = re.compile(r"\.(weight|bias|scale)$")
_TENSOR = gguf.MODEL_TENSOR
_OPTIONAL = frozenset(
    {_TENSOR.OUTPUT, _TENSOR.ROPE_FREQS, _TENSOR.ROPE_FACTORS_LONG, _TENSOR.ROPE_FACTORS_SHORT}
    | {_TENSOR.DENSE_2_OUT}
)
"""Tensors before and after the layers that networks of one architecture may have or not have."""
_OF_EACH_LAYER = frozenset(
    {_TENSOR.PER_LAYER_TOKEN_EMBD, _TENSOR.PER_LAYER_MODEL_PROJ, _TENSOR.PER_LAYER_PROJ_NORM}
)
"""Tensors of networks of which each layer has embeddings of its own."""
_DENSE = (_TENSOR.FFN_GATE, _TENSOR.FFN_UP, _TENSOR.FFN_DOWN)
_FEED_FORWARD = re.compile(r"^(ffn_(?!norm)|exp_probs_b)")
_MIXER = re.compile(r"^(attn_(?!norm)|ssm_|shortconv)")
_SHARED = re.compile(r"^attn_(k|v|k_norm)\.")
_ATTENTION = frozenset({"full_attention", "sliding_attention"})

Layer = Mapping[str, GgufTensor]


class LayerKind(NamedTuple):
    """What sets layers of a network apart."""

    mixer: str | None
    """How it attends, or that it has a state instead; None if all layers are one kind."""
    has_experts: bool
    """False in the layers without, of a network whose others have experts."""
    shares_keys: bool
    """True if it uses the keys and values of another layer."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Tensors of a file by layer, those left out that the network has no part for."""

    members: Mapping[int, Layer]
    """Tensors of each layer by their names in it."""
    kinds: Mapping[int, LayerKind]
    has_own_values: bool
    """False if values are the keys where a layer attends to everything."""
    beyond: list[str]
    """Tensors of layers that the network does not have."""


def split_layers(file: GgufFile, fields: Fields, left_out: re.Pattern[str]) -> Layers:
    """Return the tensors of a file by layer; `fields` are those of its config.json."""
    num_layers = fields["num_hidden_layers"]
    members: dict[int, dict[str, GgufTensor]] = {number: {} for number in range(num_layers)}
    beyond = []
    for name, tensor in file.tensors.items():
        match = _LAYER.match(name)
        if match is None or left_out.match(name):
            continue
        if (number := int(match[1])) in members:
            members[number][match[2]] = tensor
        else:
            beyond.append(name)
    kinds = {number: _kind(number, file, fields) for number in members}
    return Layers(members, kinds, not fields.get("attention_k_eq_v"), beyond)


def check_layers(file: GgufFile, fields: Fields, layers: Layers) -> None:
    """Raise `BadCheckpointError` if the file lacks a tensor, or has one without a place.

    Not told are tensors that no layer of a kind has.
    """
    table = gguf.MODEL_TENSORS[architecture_of(file)]
    known = {stem_of(tensor) for tensor in table}
    lacking = [name for name in _outside(table, fields, layers) if name not in file.tensors]
    foreign = list(layers.beyond)
    for name in {name for member in layers.members.values() for name in member}:
        for numbers in alike(layers, name):
            has = [number for number in numbers if name in layers.members[number]]
            if not has:
                continue
            if 2 * len(has) < len(numbers) or _SUFFIX.sub("", name) not in known:
                foreign += [f"blk.{number}.{name}" for number in has]
            else:
                lacking += [f"blk.{each}.{name}" for each in numbers if each not in has]
    lacking += _lacking_alone(layers, known)
    if lacking:
        raise BadCheckpointError(f"it lacks {name_some(_ordered(lacking), 'tensors')}")
    if foreign:
        named = name_some(_ordered(foreign), "tensors")
        raise BadCheckpointError(f"the network has no place for {named}")


def architecture_of(file: GgufFile) -> gguf.MODEL_ARCH:
    """Return the architecture of a file as the gguf library numbers it."""
    return next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == file.architecture)


def stem_of(tensor: gguf.MODEL_TENSOR) -> str:
    """Return the name of a tensor, without its layer and without its last part."""
    return gguf.TENSOR_NAMES[tensor].removeprefix("blk.{bid}.")


def _kind(number: int, file: GgufFile, fields: Fields) -> LayerKind:
    types = fields.get("layer_types")
    num_dense = file.metadata.get(f"{file.architecture}.leading_dense_block_count") or 0
    period = file.metadata.get(f"{file.architecture}.interleave_moe_layer_step") or 1
    first_shared = fields["num_hidden_layers"] - fields.get("num_kv_shared_layers", 0)
    has_experts = number >= num_dense and (number + 1) % period == 0
    return LayerKind(types[number] if types else None, has_experts, number >= first_shared)


def _outside(table: Iterable[gguf.MODEL_TENSOR], fields: Fields, layers: Layers) -> Iterator[str]:
    """Yield the tensors that the network has before and after its layers."""
    has_inputs = bool(fields.get("hidden_size_per_layer_input"))
    for tensor in table:
        is_needed = tensor not in _OPTIONAL and (has_inputs or tensor not in _OF_EACH_LAYER)
        if is_needed and not gguf.TENSOR_NAMES[tensor].startswith("blk."):
            yield f"{stem_of(tensor)}.weight"
    if any("attn_norm.bias" in member for member in layers.members.values()):
        yield "output_norm.bias"


def alike(layers: Layers, name: str, *, in_shape: bool = False) -> Iterable[list[int]]:
    """Return the layers that have a tensor all or not at all, in groups of such.

    With `in_shape`, layers are together that have it in one shape.
    """
    groups: dict[object, list[int]] = defaultdict(list)
    for number, kind in layers.kinds.items():
        key: tuple[object, ...] = ()
        if _FEED_FORWARD.match(name):
            key = (kind.has_experts, in_shape and kind.shares_keys)
        elif _MIXER.match(name):
            is_apart = in_shape or not layers.has_own_values or kind.mixer not in _ATTENTION
            key = (kind.mixer if is_apart else None, bool(_SHARED.match(name)) and kind.shares_keys)
        groups[key].append(number)
    return groups.values()


def _lacking_alone(layers: Layers, known: Collection[str]) -> Iterator[str]:
    """Yield what the only layer without experts lacks of a feed-forward part that it has begun."""
    numbers = [number for number, kind in layers.kinds.items() if not kind.has_experts]
    dense = [f"{stem_of(tensor)}.weight" for tensor in _DENSE if stem_of(tensor) in known]
    if len(numbers) == 1 and any(name in layers.members[numbers[0]] for name in dense):
        missing = (name for name in dense if name not in layers.members[numbers[0]])
        yield from (f"blk.{numbers[0]}.{name}" for name in missing)


def _ordered(names: list[str]) -> list[str]:
    """Return names in order, those of layers by their numbers."""
    return sorted(
        set(names), key=lambda name: (int(match[1]) if (match := _LAYER.match(name)) else -1, name)
    )
