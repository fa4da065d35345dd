"""Attention of a step on a CUDA device: all indices in one tensor, each layer in fused kernels.

Launches and copies limit the speed of small batches there, so all of a step's indices are copied to
the device at once.
"""

from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import torch
from torch import Tensor

from worker.engine.transformers.batch.packing import Pack
from worker.engine.transformers.torch_forward.attention import (
    AttentionOptions,
    KeyValuePool,
    StepInputs,
)
from worker.engine.transformers.torch_forward.fused_attention import (
    Rows,
    attend_decodes,
    attend_prefills,
)


@dataclass(frozen=True, slots=True)
class StepShape:
    """Sizes of a step's tensors; a CUDA graph is captured for one such shape."""

    num_tokens: int
    num_decodes: int
    num_prefills: int
    max_query_tokens: int
    """Largest number of query tokens of any row."""
    num_sampled: int

    @classmethod
    def of(cls, packed: Pack) -> "StepShape":
        """Return the shape of a pack, without padding."""
        return cls(
            num_tokens=len(packed.token_ids),
            num_decodes=packed.num_decodes,
            num_prefills=len(packed.rows) - packed.num_decodes,
            max_query_tokens=max(row.num_tokens for row in packed.rows),
            num_sampled=len(packed.sampled_rows),
        )

    @classmethod
    def of_decodes(cls, num_rows: int) -> "StepShape":
        """Return the shape of a step of `num_rows` single-token rows, all of them sampled."""
        return cls(
            num_tokens=num_rows,
            num_decodes=num_rows,
            num_prefills=0,
            max_query_tokens=1,
            num_sampled=num_rows,
        )

    @property
    def num_rows(self) -> int:
        """Number of sequences, padding included."""
        return self.num_decodes + self.num_prefills

    @property
    def num_indices(self) -> int:
        """Number of elements of the index tensor that precede the block numbers."""
        return 3 * self.num_tokens + self.num_sampled + 3 * self.num_rows + 1


@dataclass(frozen=True, slots=True)
class FusedStep:
    """Attention of one packed batch: the slots its tokens are written to, and the keys they see."""

    pool: KeyValuePool
    write_slots: Tensor
    decodes: Rows
    prefills: Rows

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Write the new keys and values to the pool, then attend over the pool.

        All layers are plain (`LayerShape.is_plain`), so there are no options but the scale.
        """
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        keys.index_copy_(1, self.write_slots, key)
        values.index_copy_(1, self.write_slots, value)
        output = query.new_empty(query.shape[1], query.shape[0], value.shape[-1])
        queries = query.transpose(0, 1)
        if len(self.decodes.lengths):
            attend_decodes(queries, keys, values, self.decodes, options.scale, output)
        if len(self.prefills.lengths):
            attend_prefills(queries, keys, values, self.prefills, options.scale, output)
        return output


def host_indices(packed: Pack, shape: StepShape, scratch_slot: int) -> Tensor:
    """Return a step's indices on the host: int32, in the order in which `fused_inputs` reads them.

    If `shape` has more single-token rows than the pack, the additional rows have no keys and write
    to the scratch slot. If it samples more rows, the first token is sampled again.
    """
    num_missing = shape.num_tokens - len(packed.token_ids)
    zeros = [0] * num_missing
    num_tokens = chain((row.num_tokens for row in packed.rows), [1] * num_missing)
    num_blocks = chain((len(row.blocks) for row in packed.rows), zeros)
    sections = [
        [*packed.token_ids, *zeros],
        [*packed.rotary_positions, *zeros],
        [*packed.write_slots, *[scratch_slot] * num_missing],
        [*packed.sampled_rows, *[0] * (shape.num_sampled - len(packed.sampled_rows))],
        [*(row.num_keys for row in packed.rows), *zeros],
        list(accumulate(num_tokens, initial=0)),
        list(accumulate(num_blocks, initial=0))[:-1],
        *(row.blocks for row in packed.rows),
    ]
    return torch.from_numpy(np.fromiter(chain.from_iterable(sections), np.int32))


def fused_inputs(
    indices: Tensor, shape: StepShape, pool: KeyValuePool, block_size: int
) -> StepInputs:
    """Split a step's indices, already on the device, into the input tensors of the step."""
    num_tokens, num_rows, first = shape.num_tokens, shape.num_rows, shape.num_decodes
    num_wide = 3 * num_tokens + shape.num_sampled
    # torch's operators require 64-bit indices.
    wide = indices[:num_wide].long()
    token_ids, positions, write_slots, sampled_rows = torch.split(
        wide, [num_tokens, num_tokens, num_tokens, shape.num_sampled]
    )
    lengths, query_starts, table_starts, blocks = torch.split(
        indices[num_wide:], [num_rows, num_rows + 1, num_rows, len(indices) - shape.num_indices]
    )
    decodes = Rows(
        query_starts=query_starts[: first + 1],
        lengths=lengths[:first],
        table_starts=table_starts[:first],
        blocks=blocks,
        block_size=block_size,
        max_query_tokens=1,
    )
    prefills = Rows(
        query_starts=query_starts[first:],
        lengths=lengths[first:],
        table_starts=table_starts[first:],
        blocks=blocks,
        block_size=block_size,
        max_query_tokens=shape.max_query_tokens,
    )
    step = FusedStep(pool, write_slots, decodes, prefills)
    return StepInputs(token_ids[None], positions[None], sampled_rows, step)
