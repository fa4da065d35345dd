"""Check of the shapes of tensors in a GGUF file, by its metadata and by layers of the same kind."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.checks.layers import Layers, alike
from worker.weights.gguf.fields import Fields
from worker.weights.gguf.file import GgufFile, GgufTensor

_ANY = 0
"""Length of an axis that the metadata do not tell."""
_OF_HIDDEN = frozenset(
    {"attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "output_norm", "post_norm"}
    | {"token_embd_norm"}
)
_FROM_HIDDEN = frozenset(
    {"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_gate", "attn_q_a", "attn_kv_a_mqa"}
    | {"ffn_gate", "ffn_up", "ffn_gate_inp", "ffn_gate_shexp", "ffn_up_shexp", "token_embd"}
    | {"output", "shortconv.in_proj"}
)
_TO_HIDDEN = frozenset(
    {"attn_output", "ffn_down", "ffn_down_shexp", "ssm_out", "shortconv.out_proj", "proj"}
)
_BETWEEN_STREAMS = frozenset({"altup_proj", "altup_unembd_proj"})
_OF_INPUTS = frozenset({"per_layer_model_proj", "per_layer_token_embd"})
"""Embeddings of each layer, those of all in one tensor."""
_EXPERTS_FROM_HIDDEN = frozenset({"ffn_gate_exps", "ffn_up_exps", "ffn_gate_up_exps"})
_EMBEDDINGS = "token_embd.weight"
_OTHER_HEADS = frozenset({"deepseek2", "gemma4", "qwen35", "qwen35moe"})
"""Architectures whose heads have more than one size, or more numbers than those of the keys."""


def check_shapes(file: GgufFile, fields: Fields, layers: Layers) -> None:
    """Raise `BadCheckpointError` for a tensor of another shape than the metadata or its like say.

    Axes that only the network shows are left to the comparison with it.
    """
    # The embeddings first, of which the others take the vocabulary.
    for name, tensor in sorted(file.tensors.items(), key=lambda item: item[0] != _EMBEDDINGS):
        if not name.startswith("blk."):
            _check(name, tensor.shape, _expected(file, fields, name))
    for number, layer in layers.members.items():
        for name, tensor in layer.items():
            expected = _of_layer(file, fields, name, number) or _expected(file, fields, name)
            _check(tensor.name, tensor.shape, expected)
    for name in {name for layer in layers.members.values() for name in layer}:
        for numbers in alike(layers, name, in_shape=True):
            _check_alike([layers.members[number].get(name) for number in numbers])


def _expected(file: GgufFile, fields: Fields, name: str) -> Sequence[int]:
    """Return the lengths of a tensor's axes as far as they follow from the metadata."""
    hidden, vocabulary = fields["hidden_size"], fields["vocab_size"]
    stem, _, suffix = name.rpartition(".")
    if suffix != "weight":
        return ()
    if stem in _OF_HIDDEN:
        return (hidden,)
    if stem in _BETWEEN_STREAMS:
        return (fields["altup_num_inputs"] - 1, hidden, hidden)
    if stem in _FROM_HIDDEN:
        rows = {"output": vocabulary, "ffn_gate_inp": file.get("expert_count")}
        return (rows.get(stem) or _ANY, hidden)
    if stem in _TO_HIDDEN:
        return (hidden, _ANY)
    inputs = fields["num_hidden_layers"] * fields.get("hidden_size_per_layer_input", 0)
    if inputs and stem in _OF_INPUTS:
        return (inputs, hidden) if stem == "per_layer_model_proj" else (_ANY, inputs)
    experts = file.get("expert_count") or _ANY
    if stem in _EXPERTS_FROM_HIDDEN:
        return (experts, _ANY, hidden)
    return (experts, hidden, _ANY) if stem == "ffn_down_exps" else ()


def _of_layer(file: GgufFile, fields: Fields, name: str, number: int) -> Sequence[int]:
    """Return the lengths of axes that differ from layer to layer, if the metadata tell them."""
    hidden, size = fields["hidden_size"], fields["head_dim"]
    if name in ("ffn_gate.weight", "ffn_down.weight"):
        wide = _at(file.get("feed_forward_length"), number) or _ANY
        return (wide, hidden) if name == "ffn_gate.weight" else (hidden, wide)
    if file.architecture in _OTHER_HEADS:
        return ()
    heads = _at(fields["num_attention_heads"], number)
    groups = _at(fields["num_key_value_heads"], number)
    values = file.get("attention.value_length", size)
    return {
        "attn_q.weight": (heads * size, hidden),
        "attn_k.weight": (groups * size, hidden),
        "attn_v.weight": (groups * values, hidden),
        "attn_qkv.weight": ((heads + groups) * size + groups * values, hidden),
        "attn_output.weight": (hidden, heads * values),
    }.get(name, ())


def _at(value: Any, number: int) -> Any:
    return value[number] if isinstance(value, list) else value


def _check_alike(tensors: Iterable[GgufTensor | None]) -> None:
    found = [tensor for tensor in tensors if tensor is not None]
    shapes = Counter(_dense(tensor.shape) for tensor in found)
    for tensor in found:
        _check(tensor.name, tensor.shape, shapes.most_common(1)[0][0])


def _check(name: str, shape: Sequence[int], expected: Sequence[int]) -> None:
    dense, other = _dense(shape), _dense(expected)
    is_right = len(dense) == len(other) and all(
        axis in (_ANY, length) for length, axis in zip(dense, other, strict=True)
    )
    if expected and not is_right:
        axes = ", ".join(str(length) if length else "any" for length in expected)
        raise BadCheckpointError(f"{name} has the shape {list(shape)}, and not [{axes}]")


def _dense(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without axes of length 1, which some files leave out."""
    return tuple(length for length in shape if length != 1)
