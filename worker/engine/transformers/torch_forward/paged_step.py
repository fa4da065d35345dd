"""Attention of a step without a fused kernel: on CPUs, and on devices that have no such kernel.

Keys and values of decode rows are gathered and padded (`decode_padded`). This is the reference
implementation.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from worker.engine.transformers.batch.packing import Pack, Row
from worker.engine.transformers.torch_forward.attention import (
    AttentionOptions,
    KeyValuePool,
    StepInputs,
)
from worker.engine.transformers.torch_forward.decode_padded import PaddedDecodes


class Decodes(Protocol):
    """Rows of a step that have one query token each; they come first in the pack."""

    num_rows: int

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None) -> Tensor:
        """Map query [rows, query heads, size] to [rows, query heads, value size].

        Keys and values are a layer's whole pool, [heads, slots, size].
        """


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Consecutive query tokens of one sequence, at `start:end` of the pack."""

    start: int
    end: int
    slots: Tensor
    """Slots of all keys of the sequence, up to and including this chunk."""
    mask: Tensor | None
    """[queries, keys], True where a query attends; None (causal) for the first chunk of a sequence,
    which holds all of its keys."""


@dataclass(frozen=True, slots=True)
class PagedStep:
    """Attention of one packed batch: the slots its tokens are written to, and the keys they see."""

    pool: KeyValuePool
    write_slots: Tensor
    decodes: Decodes
    prefills: list[PrefillChunk]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Write the new keys and values to the pool, then attend over the pool.

        Networks with sliding windows or attention sinks were refused at load (`model.checks`).
        """
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        keys.index_copy_(1, self.write_slots, key)
        values.index_copy_(1, self.write_slots, value)
        output = query.new_empty(query.shape[1], query.shape[0], value.shape[-1])
        if num_rows := self.decodes.num_rows:
            rows = query[:, :num_rows].transpose(0, 1)
            output[:num_rows] = self.decodes.attend(rows, keys, values, options.scale)
        for chunk in self.prefills:
            output[chunk.start : chunk.end] = _attend_prefill(
                query[None, :, chunk.start : chunk.end],
                _gather_chunk(key, keys, chunk),
                _gather_chunk(value, values, chunk),
                chunk,
                options.scale,
            )
        return output


def _gather_chunk(new: Tensor, pool: Tensor, chunk: PrefillChunk) -> Tensor:
    """Return the keys or values of a chunk's sequence, [1, heads, keys, size].

    Reads the pool only if the sequence has tokens from earlier steps.
    """
    if chunk.mask is None:
        return new[None, :, chunk.start : chunk.end]
    return pool.index_select(1, chunk.slots)[None]


def _attend_prefill(
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


def paged_inputs(
    packed: Pack, pool: KeyValuePool, block_size: int, device: torch.device
) -> StepInputs:
    """Return the input tensors of a step."""
    ends = list(accumulate(row.num_tokens for row in packed.rows))
    first = packed.num_decodes
    chunks = zip(packed.rows[first:], ends[first:], strict=True)
    step = PagedStep(
        pool=pool,
        write_slots=torch.tensor(packed.write_slots, device=device),
        decodes=_make_decodes(packed.rows[:first], block_size, device),
        prefills=[_make_prefill_chunk(row, end, block_size, device) for row, end in chunks],
    )
    return StepInputs(
        token_ids=torch.tensor([packed.token_ids], device=device),
        positions=torch.tensor([packed.rotary_positions], device=device),
        sampled_rows=torch.tensor(packed.sampled_rows, dtype=torch.long, device=device),
        attention=step,
    )


def _make_decodes(rows: list[Row], block_size: int, device: torch.device) -> Decodes:
    lengths, tables = [row.num_keys for row in rows], [row.blocks for row in rows]
    return PaddedDecodes(tables, lengths, block_size, device)


def _make_prefill_chunk(row: Row, end: int, block_size: int, device: torch.device) -> PrefillChunk:
    num_past = row.num_keys - row.num_tokens
    mask = None
    if num_past:
        queries = torch.arange(num_past, row.num_keys)
        mask = (torch.arange(row.num_keys)[None] <= queries[:, None]).to(device)
    return PrefillChunk(
        start=end - row.num_tokens,
        end=end,
        slots=_expand_blocks(torch.tensor([row.blocks]), block_size)[0, : row.num_keys].to(device),
        mask=mask,
    )


def _expand_blocks(blocks: Tensor, block_size: int) -> Tensor:
    """Map block numbers [rows, blocks] to the slots they cover [rows, blocks * block_size]."""
    return (blocks[:, :, None] * block_size + torch.arange(block_size)).flatten(1)
