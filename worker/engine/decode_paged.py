"""Attention of decoding rows on a CPU: reads keys and values from the pool where they lie.

torch's own attention wants them gathered and padded, and takes the few queries of a head for a
matrix. Here one compiled loop goes over the keys of a row (docs/adr/0009), in float32 whatever the
pool's type; a row gets the same result in any batch.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worker.engine.compiled import share
from worker.engine.decode_kernel import decode_kernel

_KEYS_PER_THREAD = 4096
"""Keys, over all heads, that are worth a thread: some tenth of a millisecond."""


class PagedDecodes:
    """Rows of one query token each, the first ones of a pack, with the blocks of their keys."""

    def __init__(self, tables: list[list[int]], lengths: list[int], block_size: int) -> None:
        """Take for each row its block numbers, and how many keys it has in them."""
        self.num_rows = len(lengths)
        self._lengths = np.array(lengths)
        self._tables = np.zeros((len(tables), max(map(len, tables), default=0)), np.int64)
        for row, table in enumerate(tables):
            self._tables[row, : len(table)] = table
        self._num_keys = sum(lengths)
        self._block_size = block_size

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None) -> Tensor:
        """Map query [rows, query heads, size] and a layer's pool [heads, slots, size] to
        [rows, query heads, value size] in float32."""
        num_rows, num_query_heads, size = query.shape
        num_heads, value_size = len(keys), values.shape[2]
        group = num_query_heads // num_heads
        scaled = query.float().reshape(num_rows, num_heads, group, size) * (scale or size**-0.5)
        output = np.empty((num_rows, num_heads, group, value_size), np.float32)
        work = partial(
            decode_kernel(group, size, value_size, keys.dtype == torch.bfloat16),
            scaled.numpy(),
            _as_array(keys),
            _as_array(values),
            self._tables,
            self._lengths,
            self._block_size,
            output,
        )
        share(work, self._num_keys * num_heads // _KEYS_PER_THREAD)
        return torch.from_numpy(output).view(num_rows, num_query_heads, value_size)


def _as_array(pool: Tensor) -> "np.ndarray[Any, Any]":
    return (pool.view(torch.uint16) if pool.dtype == torch.bfloat16 else pool).numpy()
