"""A step's attention on a CUDA device: its indices in one tensor, every layer in fused kernels.

Launches and copies bound small batches there, so all that a step tells the device travels at once.
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
    """How much of everything a step has; what a graph is captured for."""

    num_tokens: int
    num_decodes: int
    num_prefills: int
    most_tokens: int
    """Of the row that has most."""
    num_sampled: int

    @classmethod
    def of(cls, packed: Pack) -> "StepShape":
        """The shape of a pack, without padding."""
        return cls(
            num_tokens=len(packed.token_ids),
            num_decodes=packed.num_decodes,
            num_prefills=len(packed.rows) - packed.num_decodes,
            most_tokens=max(row.num_tokens for row in packed.rows),
            num_sampled=len(packed.sampled_rows),
        )

    @classmethod
    def of_decodes(cls, num_rows: int) -> "StepShape":
        """That of rows of one token, all of them sampled."""
        return cls(
            num_tokens=num_rows,
            num_decodes=num_rows,
            num_prefills=0,
            most_tokens=1,
            num_sampled=num_rows,
        )

    @property
    def num_rows(self) -> int:
        """Sequences, padding included."""
        return self.num_decodes + self.num_prefills

    @property
    def num_indices(self) -> int:
        """Numbers in a tensor of indices before the blocks."""
        return 3 * self.num_tokens + self.num_sampled + 3 * self.num_rows + 1


@dataclass(frozen=True, slots=True)
class FusedStep:
    """One packed batch: where its tokens are written and what each of them may see."""

    pool: KeyValuePool
    write_slots: Tensor
    decodes: Rows
    prefills: Rows

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Write the new keys and values to the pool, then attend over what it holds; networks with
        windows and sinks are refused at load (`support`)."""
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
    """Lay out what a step tells the device: int32, in the order in which `fused_inputs` reads it.

    Where `shape` has more rows of one token than the pack, the others have no keys and write to the
    scratch slot. Where it samples more, the first token is sampled again.
    """
    num_missing = shape.num_tokens - len(packed.token_ids)
    zeros = [0] * num_missing
    num_tokens = chain((row.num_tokens for row in packed.rows), [1] * num_missing)
    num_blocks = chain((len(row.blocks) for row in packed.rows), zeros)
    sections = [
        [*packed.token_ids, *zeros],
        [*packed.positions, *zeros],
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
    """View a step's indices, once they are on the device, as the tensors of the step."""
    num_tokens, num_rows, first = shape.num_tokens, shape.num_rows, shape.num_decodes
    num_wide = 3 * num_tokens + shape.num_sampled
    # Operators of torch want indices of 64 bits.
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
        most_tokens=1,
    )
    prefills = Rows(
        query_starts=query_starts[first:],
        lengths=lengths[first:],
        table_starts=table_starts[first:],
        blocks=blocks,
        block_size=block_size,
        most_tokens=shape.most_tokens,
    )
    step = FusedStep(pool, write_slots, decodes, prefills)
    return StepInputs(token_ids[None], positions[None], sampled_rows, step)
