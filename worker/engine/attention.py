"""Attention over a paged pool of keys and values, registered with transformers by name.

Owns the pool's tensors and the arithmetic; which slots a step touches is decided in `packing`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from worker.engine.interface import UnsupportedModelError

ATTENTION_NAME = "antiphon_paged"

_UNSUPPORTED_OPTIONS = ("sliding_window", "softcap", "s_aux", "position_bias")


class AttentionStep(Protocol):
    """What a forward pass hands down to the attention of every layer."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None
    ) -> Tensor:
        """Map query [heads, tokens, size] and new keys and values to [tokens, heads, size]."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one token of one layer takes in the pool."""

    num_heads: int
    key_size: int
    value_size: int


class KeyValuePool:
    """Per layer, the keys and values of every slot: [heads, slots, size].

    Heads first, as attention wants them: what a head reads of a sequence lies together.
    """

    def __init__(
        self, layers: list[LayerShape], num_slots: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # Never read before it is written, so not cleared: untouched pages cost no memory.
        self.keys = [
            torch.empty(layer.num_heads, num_slots, layer.key_size, dtype=dtype, device=device)
            for layer in layers
        ]
        self.values = [
            torch.empty(layer.num_heads, num_slots, layer.value_size, dtype=dtype, device=device)
            for layer in layers
        ]


class Decodes(Protocol):
    """The rows of a step that have one query token each; they are the first of the pack."""

    num_rows: int

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None) -> Tensor:
        """Map query [rows, query heads, size] to [rows, query heads, value size]; keys and values
        are a layer's whole pool, [heads, slots, size]."""


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Consecutive query tokens of one sequence, at `start:end` of the pack."""

    start: int
    end: int
    slots: Tensor
    """All keys of the sequence up to and with this chunk."""
    mask: Tensor | None
    """[queries, keys]; None for a chunk that starts its sequence: all its keys are its own."""


@dataclass(frozen=True, slots=True)
class PagedStep:
    """One packed batch: where its tokens are written and what each of them may see."""

    pool: KeyValuePool
    write_slots: Tensor
    decodes: Decodes
    prefills: list[PrefillChunk]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None
    ) -> Tensor:
        """Write the new keys and values to the pool, then attend over what it holds."""
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        keys.index_copy_(1, self.write_slots, key)
        values.index_copy_(1, self.write_slots, value)
        output = query.new_empty(query.shape[1], query.shape[0], value.shape[-1])
        if num_rows := self.decodes.num_rows:
            rows = query[:, :num_rows].transpose(0, 1)
            output[:num_rows] = self.decodes.attend(rows, keys, values, scale)
        for chunk in self.prefills:
            output[chunk.start : chunk.end] = _prefill(
                query[None, :, chunk.start : chunk.end],
                _of_chunk(key, keys, chunk),
                _of_chunk(value, values, chunk),
                chunk,
                scale,
            )
        return output


def _of_chunk(new: Tensor, pool: Tensor, chunk: PrefillChunk) -> Tensor:
    """[1, heads, keys, size]: from the pool only if it holds some that this step did not make."""
    if chunk.mask is None:
        return new[None, :, chunk.start : chunk.end]
    return pool.index_select(1, chunk.slots)[None]


def _prefill(
    query: Tensor, keys: Tensor, values: Tensor, chunk: PrefillChunk, scale: float | None
) -> Tensor:
    output = scaled_dot_product_attention(
        query,
        keys,
        values,
        attn_mask=chunk.mask,
        is_causal=chunk.mask is None,
        scale=scale,
        enable_gqa=True,
    )
    return output[0].transpose(0, 1)


def _attention(  # noqa: PLR0913 - the signature is transformers'
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    paged: AttentionStep | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    if paged is None:
        raise UnsupportedModelError("it does not hand keyword arguments down to its attention")
    for name in _UNSUPPORTED_OPTIONS:
        if options.get(name) is not None:
            raise UnsupportedModelError(f"its attention uses {name}")
    return paged.attend(module.layer_idx, query[0], key[0], value[0], scaling)[None], None


def register_attention() -> None:
    """Make `ATTENTION_NAME` known to transformers, without a mask: `PagedStep` has its own."""
    AttentionInterface.register(ATTENTION_NAME, _attention)
    AttentionMaskInterface.register(ATTENTION_NAME, lambda *_args, **_kwargs: None)
