"""Attention of a step without a fused kernel.

This is the reference implementation: for CPUs, for devices without such a kernel, and for networks
with windows, chunks, sinks or capped scores. Keys and values of decode rows are gathered and padded
(`decode_padded`).
"""

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from worker.engine.transformers.batch.packing import Pack, Row
from worker.engine.transformers.torch_forward.attention import (
    ALL_KEYS,
    AttentionOptions,
    KeyValuePool,
    StepInputs,
    Visibility,
)
from worker.engine.transformers.torch_forward.gathered.decode_padded import KeyRange, PaddedDecodes
from worker.engine.transformers.torch_forward.gathered.dense import attend_queries


class Decodes(Protocol):
    """Rows of a step that have one query token each; they come first in the pack."""

    num_rows: int

    def attend(
        self, query: Tensor, keys: Tensor, values: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Map query [rows, query heads, size] to [rows, query heads, value size].

        Keys and values are a layer's whole pool, [heads, slots, size].
        """


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Consecutive query tokens of one sequence, at `start:end` of the pack."""

    start: int
    end: int
    slots: Tensor
    """Slots of the keys that some token of the chunk attends to, up to the last of the chunk."""
    mask: Tensor | None
    """[queries, keys], True where a query attends; None (causal) for the first chunk of a sequence,
    which holds all of its keys."""


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """Slots of the keys that each row of a step attends to, for layers of one kind."""

    decodes: Decodes
    prefills: list[PrefillChunk]


class KeyLayouts:
    """Layouts of a step, each of which is made when the first of its layers attends."""

    def __init__(self, packed: Pack, block_size: int, device: torch.device, zero_slot: int) -> None:
        self._packed = packed
        self._block_size = block_size
        self._device = device
        self._zero_slot = zero_slot
        self._max_keys = max(row.num_keys for row in packed.rows)
        self._has_images = any(row.image_ends is not None for row in packed.rows)
        self._layouts: dict[tuple[Visibility, bool], KeyLayout] = {}

    def find(self, visibility: Visibility, *, has_sinks: bool = False) -> KeyLayout:
        """Return the layout for layers with a visibility; with sinks the last key is of zeros."""
        # Layers that would hide a key only of a longer sequence share the layout without hidden
        # keys.
        if not visibility.hides_any(self._max_keys):
            visibility = replace(ALL_KEYS, is_two_way=visibility.is_two_way)
        if not self._has_images:
            visibility = replace(visibility, is_two_way=False)
        kind = visibility, has_sinks
        if kind not in self._layouts:
            self._layouts[kind] = self._make(*kind)
        return self._layouts[kind]

    def _make(self, visibility: Visibility, has_sinks: bool) -> KeyLayout:
        rows, first = self._packed.rows, self._packed.num_decodes
        ends = list(accumulate(row.num_tokens for row in rows))
        ranges = [_range(row, visibility) for row in rows]
        sink_slot = self._zero_slot if has_sinks else None
        chunks = zip(rows[first:], ranges[first:], ends[first:], strict=True)
        return KeyLayout(
            decodes=PaddedDecodes(ranges[:first], self._block_size, self._device, sink_slot),
            prefills=[self._make_chunk(*chunk, visibility, sink_slot) for chunk in chunks],
        )

    def _make_chunk(
        self, row: Row, keys: KeyRange, end: int, visibility: Visibility, sink_slot: int | None
    ) -> PrefillChunk:
        num_past = row.num_keys - row.num_tokens
        slots, mask = self._slots(keys), None
        ends = torch.tensor(row.image_ends) if visibility.is_two_way and row.image_ends else None
        is_causal = ends is None and sink_slot is None and not num_past
        if not is_causal or visibility.hides_any(row.num_keys):
            queries = torch.arange(num_past, row.num_keys)
            mask = visibility.mask(queries, torch.arange(keys.first, keys.end), ends)
        if sink_slot is not None and mask is not None:
            slots, mask = pad(slots, (0, 1), value=sink_slot), pad(mask, (0, 1), value=True)
        return PrefillChunk(
            start=end - row.num_tokens,
            end=end,
            slots=slots.to(self._device),
            mask=None if mask is None else mask.to(self._device),
        )

    def _slots(self, keys: KeyRange) -> Tensor:
        """Return the slots of the keys in a range."""
        positions = torch.arange(keys.first, keys.end)
        blocks = torch.tensor(keys.blocks)[positions // self._block_size]
        return blocks * self._block_size + positions % self._block_size


@dataclass(frozen=True, slots=True)
class PagedStep:
    """Attention of one packed batch: the slots its tokens are written to, and the keys they see."""

    pool: KeyValuePool
    write_slots: Tensor
    layouts: KeyLayouts

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Write the new keys and values to the pool, then attend over the pool."""
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        keys.index_copy_(1, self.write_slots, key)
        values.index_copy_(1, self.write_slots, value)
        has_sinks = options.sinks is not None
        layout = self.layouts.find(self.pool.visibility[layer], has_sinks=has_sinks)
        output = query.new_empty(query.shape[1], query.shape[0], value.shape[-1])
        if num_rows := layout.decodes.num_rows:
            rows = query[:, :num_rows].transpose(0, 1)
            output[:num_rows] = layout.decodes.attend(rows, keys, values, options)
        for chunk in layout.prefills:
            output[chunk.start : chunk.end] = _attend_prefill(
                query[:, chunk.start : chunk.end],
                _gather_chunk(key, keys, chunk),
                _gather_chunk(value, values, chunk),
                chunk,
                options,
            )
        return output


def _gather_chunk(new: Tensor, pool: Tensor, chunk: PrefillChunk) -> Tensor:
    """Return the keys or values that a chunk attends to, [heads, keys, size].

    Reads the pool only if they are not just those of the chunk.
    """
    if chunk.mask is None:
        return new[:, chunk.start : chunk.end]
    return pool.index_select(1, chunk.slots)


def _attend_prefill(
    query: Tensor, keys: Tensor, values: Tensor, chunk: PrefillChunk, options: AttentionOptions
) -> Tensor:
    if options.softcap is not None or options.sinks is not None:
        mask = chunk.mask
        if mask is None:
            positions = torch.arange(len(query[0]), device=query.device)
            mask = ALL_KEYS.mask(positions, positions)
        return attend_queries(query, keys, values, mask, options)
    output = scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=chunk.mask,
        is_causal=chunk.mask is None,
        scale=options.scale,
        enable_gqa=True,
    )
    return output[0].transpose(0, 1)


def paged_inputs(
    packed: Pack, pool: KeyValuePool, block_size: int, device: torch.device
) -> StepInputs:
    """Return the input tensors of a step."""
    step = PagedStep(
        pool=pool,
        write_slots=torch.tensor(packed.write_slots, device=device),
        layouts=KeyLayouts(packed, block_size, device, pool.zero_slot),
    )
    return StepInputs(
        token_ids=torch.tensor([packed.token_ids], device=device),
        positions=torch.tensor([packed.rotary_positions], device=device),
        sampled_rows=torch.tensor(packed.sampled_rows, dtype=torch.long, device=device),
        attention=step,
    )


def _range(row: Row, visibility: Visibility) -> KeyRange:
    """Return the keys that some token of a row attends to."""
    first = visibility.first_key(row.num_keys - row.num_tokens)
    return KeyRange(row.blocks, first, row.num_keys)
