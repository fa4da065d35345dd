"""Attention on a CUDA device: launches of `fused_kernel` with tilings for prefills and decodes.

The sizes here were derived by calculation and from the registers and shared memory that the
compiler reports; they are not yet tuned by timing on a GPU. `fused_step` decides which rows a step
has.
"""

from dataclasses import dataclass
from functools import cache
from math import e, log2

import torch
from torch import Tensor

_MIN_SIDE = 16
"""Side of the smallest matrices that tensor cores multiply."""
_PREFILL_TILE = 64
"""Rows that four warps multiply at a time on Hopper (wgmma)."""
_MAX_FOUR_WARP_SIZE = 128
"""Head size above which a program needs the registers of eight warps."""
_MAX_SPAN = 64
_SPAN_BYTES = 32 << 10
"""Bytes of a span's keys and values together. With the queries and the prefetched next span, a
program stays below the 99 KiB of shared memory that it may have on any device since Ampere."""
_NUM_PROGRAMS = 128
"""Programs, over all heads, that share a decode row: about the 132 multiprocessors of an H100."""
_MIN_SPLITS, _MAX_SPLITS = 8, 64


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences with consecutive query tokens in a pack; all tensors are int32, on the device."""

    query_starts: Tensor
    """[rows + 1]: index of each row's first token in the pack, then the end of the last row."""
    lengths: Tensor
    """[rows]: number of keys of each row, its own tokens included; 0 for padding."""
    table_starts: Tensor
    """[rows]: index of each row's first block in `blocks`."""
    blocks: Tensor
    """Block numbers of all rows, concatenated."""
    block_size: int
    max_query_tokens: int
    """Largest number of query tokens of any row."""


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Attention head geometry of one layer: `group` query heads per key/value head (GQA)."""

    num_heads: int
    group: int
    size: int
    value_size: int
    itemsize: int
    """Bytes of a number in the pool."""

    @classmethod
    def of(cls, query: Tensor, keys: Tensor, values: Tensor) -> "HeadShape":
        """Return the geometry of a layer's tensors, shaped as for `attend_decodes`."""
        num_heads, _, size = keys.shape
        return cls(num_heads, query.shape[1] // num_heads, size, values.shape[2], keys.itemsize)

    @property
    def is_half_precision(self) -> bool:
        """Return True if tensor cores multiply the type; they would round float32 to 10 bits."""
        return self.itemsize < torch.float32.itemsize


@dataclass(frozen=True, slots=True)
class Tiling:
    """Launch configuration of the kernel: compile-time `constants` by name, and resources."""

    constants: dict[str, int]
    num_warps: int
    num_stages: int
    """Stages of the pipeline that prefetches a span's block numbers, then its keys and values."""


def attend_decodes(
    query: Tensor, keys: Tensor, values: Tensor, rows: Rows, scale: float | None, output: Tensor
) -> None:
    """Compute attention of rows of one token each, which come first in the pack.

    Takes query [tokens, query heads, size] and a layer's pool [heads, slots, size]; fills the
    first rows of output [tokens, query heads, value size]. A row of length 0 gets zeros.
    """
    from worker.engine.transformers.torch_forward.fused_kernel import combine_kernel

    tiling = decode_tiling(HeadShape.of(query, keys, values), rows.block_size)
    names = ("VALUE_SIZE", "PADDED_VALUE_SIZE", "SPAN", "NUM_SPLITS")
    constants = {name: tiling.constants[name] for name in names}
    shape = (len(rows.lengths), query.shape[1], constants["NUM_SPLITS"])
    parts = query.new_empty(*shape, values.shape[2], dtype=torch.float32)
    totals = query.new_empty(shape, dtype=torch.float32)
    _launch(tiling, query, keys, values, rows, scale, parts, totals)
    combine_kernel[shape[:2]](parts, totals, output, rows.lengths, **constants)


def attend_prefills(
    query: Tensor, keys: Tensor, values: Tensor, rows: Rows, scale: float | None, output: Tensor
) -> None:
    """Compute attention of rows of several tokens each, anywhere in the pack.

    Takes the tensors that `attend_decodes` takes.
    """
    tiling = prefill_tiling(HeadShape.of(query, keys, values), rows.block_size)
    _launch(tiling, query, keys, values, rows, scale, output, output)


def _launch(  # noqa: PLR0913 - the kernel's arguments
    tiling: Tiling,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: Rows,
    scale: float | None,
    output: Tensor,
    totals: Tensor,
) -> None:
    from worker.engine.transformers.torch_forward.fused_kernel import attend_kernel

    constants = tiling.constants
    num_tiles = -(-rows.max_query_tokens // constants["TILE_TOKENS"])
    attend_kernel[num_tiles * constants["NUM_SPLITS"], len(keys), len(rows.lengths)](
        query,
        keys,
        values,
        output,
        totals,
        rows.query_starts,
        rows.lengths,
        rows.table_starts,
        rows.blocks,
        (scale or query.shape[2] ** -0.5) * log2(e),
        query.stride(0),
        query.stride(1),
        keys.stride(0),
        values.stride(0),
        **constants,
        num_warps=tiling.num_warps,
        num_stages=tiling.num_stages,
    )


@cache
def decode_tiling(shape: HeadShape, block_size: int) -> Tiling:
    """Return the tiling for rows of one token.

    The number of splits depends on the network alone, never on the batch. So a row's sums are
    accumulated in the same order whatever else is in the batch, and a captured grid fits every
    length.
    """
    num_splits = _next_power_of_two(-(-_NUM_PROGRAMS // shape.num_heads))
    constants = _build_constants(shape, block_size) | {
        "TILE_TOKENS": 1,
        "TILE": _pad_size(shape.group),
        "NUM_SPLITS": min(max(num_splits, _MIN_SPLITS), _MAX_SPLITS),
    }
    return Tiling(constants, num_warps=4, num_stages=3 if shape.is_half_precision else 2)


@cache
def prefill_tiling(shape: HeadShape, block_size: int) -> Tiling:
    """Return the tiling for rows of several tokens.

    Tiles of float32 are half as large, as registers are scarce.
    """
    tile = max(
        _PREFILL_TILE if shape.is_half_precision else _PREFILL_TILE // 2, _pad_size(shape.group)
    )
    constants = _build_constants(shape, block_size) | {
        "TILE_TOKENS": tile // shape.group,
        "TILE": tile,
        "NUM_SPLITS": 1,
    }
    is_wide = max(shape.size, shape.value_size) > _MAX_FOUR_WARP_SIZE
    return Tiling(constants, num_warps=8 if is_wide else 4, num_stages=2)


def _build_constants(shape: HeadShape, block_size: int) -> dict[str, int]:
    size, value_size = _pad_size(shape.size), _pad_size(shape.value_size)
    span_bytes = _SPAN_BYTES if shape.is_half_precision else _SPAN_BYTES // 2
    span = span_bytes // ((size + value_size) * shape.itemsize)
    return {
        "GROUP": shape.group,
        "SIZE": shape.size,
        "PADDED_SIZE": size,
        "VALUE_SIZE": shape.value_size,
        "PADDED_VALUE_SIZE": value_size,
        "BLOCK_SIZE": block_size,
        "SPAN": min(max(1 << span.bit_length() >> 1, _MIN_SIDE), _MAX_SPAN),
    }


def _next_power_of_two(number: int) -> int:
    """Return the smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _pad_size(number: int) -> int:
    return max(_MIN_SIDE, _next_power_of_two(number))
