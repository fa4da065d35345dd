"""Attention on a CUDA device: launches `fused_kernel` in shapes that suit prompts and decodes.

The figures here were chosen by reckoning and by what the compiler reports of registers and shared
memory, and not yet by timing on a GPU. Which rows a step has is decided in `fused_step`.
"""

from dataclasses import dataclass
from functools import cache
from math import e, log2

import torch
from torch import Tensor

_LEAST = 16
"""Sides of the smallest matrices that tensor cores multiply."""
_PREFILL_TILE = 64
"""Rows that four warps multiply at a time on Hopper (wgmma)."""
_WIDE = 128
"""Sizes of a head above this take the registers of eight warps."""
_MAX_SPAN = 64
_SPAN_BYTES = 32 << 10
"""Of keys and values together: with the queries, and the next span on its way, a program stays
below the 99 KiB of shared memory that it may have on any device since Ampere."""
_NUM_PROGRAMS = 128
"""What one decoding row is shared out to: about the 132 multiprocessors of an H100."""
_MIN_SPLITS, _MAX_SPLITS = 8, 64


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences with consecutive query tokens in a pack; all tensors are int32, on the device."""

    query_starts: Tensor
    """[rows + 1]: where each row's tokens begin in the pack, and where the last one's end."""
    lengths: Tensor
    """[rows]: keys of each row, up to and with its tokens; 0 for padding."""
    table_starts: Tensor
    """[rows]: where each row's blocks begin in `blocks`."""
    blocks: Tensor
    """Block numbers, those of a row one after another."""
    block_size: int
    most_tokens: int
    """Query tokens of the row that has most."""


@dataclass(frozen=True, slots=True)
class HeadShape:
    """What the heads of a layer look like; `group` query heads share a key head."""

    num_heads: int
    group: int
    size: int
    value_size: int
    itemsize: int
    """Bytes of a number in the pool."""

    @classmethod
    def of(cls, query: Tensor, keys: Tensor, values: Tensor) -> "HeadShape":
        """Read it off a layer's tensors, as `attend` takes them."""
        num_heads, _, size = keys.shape
        return cls(num_heads, query.shape[1] // num_heads, size, values.shape[2], keys.itemsize)

    @property
    def is_short(self) -> bool:
        """Whether tensor cores multiply its type; float32 they would round to 10 bits."""
        return self.itemsize < torch.float32.itemsize


@dataclass(frozen=True, slots=True)
class Tiling:
    """How the kernel goes over queries and keys: `constants` by its names for them."""

    constants: dict[str, int]
    num_warps: int
    num_stages: int
    """Of the pipeline that reads ahead: a span's blocks, then its keys and values, then use."""


def attend_decodes(
    query: Tensor, keys: Tensor, values: Tensor, rows: Rows, scale: float | None, output: Tensor
) -> None:
    """Compute rows of one token each, which are the first of the pack.

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
    """Compute rows of several tokens each, wherever they lie in the pack; as `attend_decodes`."""
    tiling = prefill_tiling(HeadShape.of(query, keys, values), rows.block_size)
    _launch(tiling, query, keys, values, rows, scale, output, output)


def _launch(  # noqa: PLR0913 - what the kernel takes
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
    num_tiles = -(-rows.most_tokens // constants["TILE_TOKENS"])
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
    """Return how rows of one token are computed.

    The number of splits depends on the network alone, never on the batch: so a row's sums are taken
    in one order, whatever its neighbours, and a captured grid fits every length.
    """
    num_splits = _power_of_two(-(-_NUM_PROGRAMS // shape.num_heads))
    constants = _constants(shape, block_size) | {
        "TILE_TOKENS": 1,
        "TILE": _padded(shape.group),
        "NUM_SPLITS": min(max(num_splits, _MIN_SPLITS), _MAX_SPLITS),
    }
    return Tiling(constants, num_warps=4, num_stages=3 if shape.is_short else 2)


@cache
def prefill_tiling(shape: HeadShape, block_size: int) -> Tiling:
    """Return how rows of several tokens are computed; short of registers, float32 in halves."""
    tile = max(_PREFILL_TILE if shape.is_short else _PREFILL_TILE // 2, _padded(shape.group))
    constants = _constants(shape, block_size) | {
        "TILE_TOKENS": tile // shape.group,
        "TILE": tile,
        "NUM_SPLITS": 1,
    }
    is_wide = max(shape.size, shape.value_size) > _WIDE
    return Tiling(constants, num_warps=8 if is_wide else 4, num_stages=2)


def _constants(shape: HeadShape, block_size: int) -> dict[str, int]:
    size, value_size = _padded(shape.size), _padded(shape.value_size)
    span_bytes = _SPAN_BYTES if shape.is_short else _SPAN_BYTES // 2
    span = span_bytes // ((size + value_size) * shape.itemsize)
    return {
        "GROUP": shape.group,
        "SIZE": shape.size,
        "PADDED_SIZE": size,
        "VALUE_SIZE": shape.value_size,
        "PADDED_VALUE_SIZE": value_size,
        "BLOCK_SIZE": block_size,
        "SPAN": min(max(1 << span.bit_length() >> 1, _LEAST), _MAX_SPAN),
    }


def _power_of_two(number: int) -> int:
    """The least that is not below `number`."""
    return 1 << (number - 1).bit_length()


def _padded(number: int) -> int:
    return max(_LEAST, _power_of_two(number))
