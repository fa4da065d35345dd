"""Load-time checks that a model computes correctly with packed batches and a paged KV cache.

The checks run the loaded model; properties that a run does not reveal are read from its config.
"""

import inspect
from collections.abc import Callable, Collection
from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from worker.engine.interface import GenerationRequest, UnsupportedModelError
from worker.engine.params import SamplingParams
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.model.layer_probe import probe_layers
from worker.engine.transformers.model.layer_types import two_way_layers
from worker.engine.transformers.model.preview.dry_run import activations_device
from worker.engine.transformers.torch_forward.attention import (
    NO_KEYS,
    AttentionOptions,
    LayerShape,
)
from worker.engine.transformers.torch_forward.gathered.dense import attend_queries

_ATTENTION_TYPES = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Types of layers whose keys and values are cached."""

_TYPES_WITHOUT_MIXER = frozenset({"mlp", "moe"})
"""Types of layers in which tokens do not see each other."""

# Minimum correlation of logits computed in two ways. It is low for 16-bit types, as their rounding
# may route a token to another expert.
_MIN_CORRELATION = {torch.float32: 0.9999}
_MIN_CORRELATION_SHORT_TYPES = 0.9

CHECK_LENGTHS = (7, 4)
"""Lengths of the check prompts in tokens; any cache of two blocks holds them."""
_NUM_UNCOMPUTED = (3, 1, 0)
"""Tokens of a check prompt that are left after each of its chunks. The second chunk follows cached
tokens, and the third is a single token."""


class PlainAttention:
    """Attention of a prompt without a KV cache."""

    def __init__(self, layers: Many[LayerShape]) -> None:
        self._layers = layers

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Attend over the given tokens."""
        positions = torch.arange(query.shape[1], device=query.device)
        mask = self._layers[layer].visibility.mask(positions, positions)
        if options.sinks is not None:
            key, value = (pad(each, (0, 0, 0, 1)) for each in (key, value))
            mask = pad(mask, (0, 1), value=True)
        # Some models divide the output into views.
        return attend_queries(query, key, value, mask, options).contiguous()


def layer_shapes(model: Any, mixer_layers: Collection[int] = ()) -> list[LayerShape]:
    """Return the KV-cache shape of each layer, in the order of the layers.

    Layers that do not attend have no keys; `mixer_layers` are those that keep a state instead.
    Raises `UnsupportedModelError` for a model with a layer that bypasses transformers' attention
    interface or has a mask of its own, or without a limit on the logits it computes.
    """
    config = model.config.get_text_config()
    layer_types: list[str] = list(getattr(config, "layer_types", None) or ())
    mixed = {kind for layer, kind in enumerate(layer_types) if layer in mixer_layers}
    other_types = set(layer_types) - mixed - _ATTENTION_TYPES - _TYPES_WITHOUT_MIXER
    if other_types:
        raise UnsupportedModelError(f"it has layers of type {', '.join(sorted(other_types))}")
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise UnsupportedModelError("it cannot limit which logits it computes")
    found = probe_layers(model)
    numbers = range(config.num_hidden_layers)
    layers = [found.get(layer, NO_KEYS) for layer in numbers]
    for index in two_way_layers(model):
        visibility = replace(layers[index].visibility, is_two_way=True)
        layers[index] = replace(layers[index], visibility=visibility)
    try:
        _compute_logits_alone(model, [0, 1], PlainAttention(layers))
    except TypeError as error:
        raise UnsupportedModelError(f"it takes no further arguments: {error}") from error
    plain = {layer for layer, kind in enumerate(layer_types) if kind in _TYPES_WITHOUT_MIXER}
    if {*found, *mixer_layers, *plain} != set(numbers):
        raise UnsupportedModelError(
            f"{len(found)} of its {len(numbers)} layers attend through "
            "transformers' attention interface; all must that keep no state"
        )
    return layers


def check_packing(
    model: Any,
    layers: Many[LayerShape],
    forward: Callable[[list[Chunk]], Tensor],
    pool: BlockPool,
    lengths: tuple[int, ...],
) -> None:
    """Raise `UnsupportedModelError` unless packing and chunking leave the results unchanged.

    Compares prompts of `lengths` tokens, computed in chunks in one packed batch, with each of them
    computed alone. Detects models that keep state outside the KV cache or count positions
    themselves. Raises `ValueError` if the cache has no room for the prompts.
    """
    vocab_size = model.config.get_text_config().vocab_size
    sequences = [_make_sequence(length, vocab_size) for length in lengths]
    for sequence in sequences:
        if not pool.grow(sequence, len(sequence.tokens)):
            raise ValueError(f"kv_cache_bytes has no room for prompts of {lengths} tokens")
    for num_uncomputed in _NUM_UNCOMPUTED:
        batch = [Chunk(sequence, sequence.num_pending - num_uncomputed) for sequence in sequences]
        packed = forward(batch)
        for chunk in batch:
            chunk.sequence.num_computed += chunk.num_tokens
    for sequence, logits in zip(sequences, packed, strict=True):
        alone = _compute_logits_alone(model, sequence.tokens, PlainAttention(layers))
        if not is_correlated(logits, alone, model.dtype):
            raise UnsupportedModelError("its results depend on what else is in the batch")


def is_correlated(logits: Tensor, others: Tensor, dtype: torch.dtype) -> bool:
    """Return True if two logit vectors differ by no more than rounding in `dtype` explains.

    Their Pearson correlation must reach `min_correlation`.
    """
    correlation = torch.corrcoef(torch.stack([logits, others]))[0, 1]
    return bool(correlation >= min_correlation(dtype))


def min_correlation(dtype: torch.dtype) -> float:
    """Return the minimum correlation of logits that a network computes in `dtype` in two ways."""
    return _MIN_CORRELATION.get(dtype, _MIN_CORRELATION_SHORT_TYPES)


def _make_sequence(length: int, vocab_size: int) -> Sequence:
    prompt = [(length * 31 + index * 17) % vocab_size for index in range(length)]
    params = SamplingParams(max_tokens=1)
    return Sequence(GenerationRequest(sequence_id=str(length), prompt=prompt, params=params))


@torch.inference_mode()
def _compute_logits_alone(model: Any, tokens: list[int], attention: PlainAttention) -> Tensor:
    device = activations_device(model)
    output = model(
        input_ids=torch.tensor([tokens], device=device),
        position_ids=torch.arange(len(tokens), device=device)[None],
        use_cache=False,
        # As a tensor: for a number, Gemma 4 would drop queries before its last layers.
        logits_to_keep=torch.tensor([len(tokens) - 1], device=device),
        paged=attention,
    )
    logits: Tensor = output.logits[0, -1]
    return logits.float()
