"""Triton kernels of `fused_attention`: attention over keys and values in a paged pool.

An online softmax over tiles of queries and spans of keys (FlashAttention-2, Dao 2023) that finds
its keys through block tables (PagedAttention, Kwon et al. 2023). The keys of a row of one token are
split among programs whose partial results are combined afterwards (Flash-Decoding, Dao et al.
2023). Scores are in base 2 throughout. Only CUDA builds of torch include Triton, so this module is
imported only on CUDA devices.
"""

import triton
import triton.language as tl

# The alignment of these views of a step's index tensor varies with the batch. Specialized on it,
# the kernel would be compiled again for each alignment while requests are served.
_INDICES = ["query_starts", "lengths", "table_starts", "blocks"]


@triton.jit
def _load(rows, is_row, SIZE: tl.constexpr, PADDED_SIZE: tl.constexpr):
    """Load `SIZE` numbers at each row's address: [rows, padded size], zeros elsewhere.

    Rows outside `is_row` must be zeros, not just have a weight of zero: zero times NaN is NaN.
    """
    channel = tl.arange(0, PADDED_SIZE)
    is_number = is_row[:, None] & (channel < SIZE)[None, :]
    return tl.load(rows[:, None] + channel[None, :], mask=is_number, other=0.0)


@triton.jit
def _update_softmax(scores, best, total):
    """Add a span's scores [tile, span] to the online softmax.

    Returns the span's weights relative to the new best score, the factor that rescales earlier
    weights to that score, the new best score and the new total.
    """
    new_best = tl.maximum(best, tl.max(scores, 1))
    weights = tl.exp2(scores - new_best[:, None])
    factor = tl.exp2(best - new_best)
    return weights, factor, new_best, total * factor + tl.sum(weights, 1)


@triton.jit(do_not_specialize_on_alignment=_INDICES)
def attend_kernel(
    query,
    keys,
    values,
    output,
    totals,
    query_starts,
    lengths,
    table_starts,
    blocks,
    scale,
    query_token_stride,
    query_head_stride,
    key_head_stride,
    value_head_stride,
    GROUP: tl.constexpr,
    SIZE: tl.constexpr,
    PADDED_SIZE: tl.constexpr,
    VALUE_SIZE: tl.constexpr,
    PADDED_VALUE_SIZE: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    TILE_TOKENS: tl.constexpr,
    TILE: tl.constexpr,
    SPAN: tl.constexpr,
    NUM_SPLITS: tl.constexpr,
) -> None:
    """Compute attention of one tile of queries over one split of the keys.

    Grid: (tiles of a row times splits, key heads, rows). A tile holds the query heads that share a
    key head, of `TILE_TOKENS` consecutive tokens. It attends over every `NUM_SPLITS`-th span of
    keys, and writes its normalised sum to output [tokens, query heads, splits, value size]; with
    more than one split, also the base-2 logarithm of the softmax's denominator, to totals
    [tokens, query heads, splits].
    """
    part, head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    first, split = part // NUM_SPLITS * TILE_TOKENS, part % NUM_SPLITS
    start = tl.load(query_starts + row)
    num_tokens = tl.load(query_starts + row + 1) - start
    length = tl.load(lengths + row)
    num_past = length - num_tokens
    # Keys after the tile's last token are not read. A row of length 0 has no keys.
    end = tl.minimum(length, num_past + first + TILE_TOKENS)
    if first >= num_tokens or split * SPAN >= end:
        return

    member = tl.arange(0, TILE)
    token = first + member // GROUP
    query_head = head * GROUP + member % GROUP
    is_query = (member < TILE_TOKENS * GROUP) & (token < num_tokens)
    # 64-bit offsets: packs and pools may have more than 2**31 elements.
    place = (start + token).to(tl.int64)
    rows = query + place * query_token_stride + query_head * query_head_stride
    queries = _load(rows, is_query, SIZE, PADDED_SIZE)
    head_keys = keys + head.to(tl.int64) * key_head_stride
    head_values = values + head.to(tl.int64) * value_head_stride
    table = blocks + tl.load(table_starts + row)

    best = tl.full([TILE], float("-inf"), tl.float32)
    total = tl.zeros([TILE], tl.float32)
    sums = tl.zeros([TILE, PADDED_VALUE_SIZE], tl.float32)
    for begin in tl.range(split * SPAN, end, NUM_SPLITS * SPAN):
        position = begin + tl.arange(0, SPAN)
        is_key = position < end
        block = tl.load(table + position // BLOCK_SIZE, mask=is_key, other=0)
        slot = block.to(tl.int64) * BLOCK_SIZE + position % BLOCK_SIZE
        key = _load(head_keys + slot * SIZE, is_key, SIZE, PADDED_SIZE)
        scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * scale
        is_seen = is_key[None, :] & (position[None, :] <= num_past + token[:, None])
        scores = tl.where(is_seen, scores, float("-inf"))
        weights, factor, best, total = _update_softmax(scores, best, total)
        value = _load(head_values + slot * VALUE_SIZE, is_key, VALUE_SIZE, PADDED_VALUE_SIZE)
        weights = weights.to(value.dtype)
        sums = tl.dot(weights, value, sums * factor[:, None], input_precision="ieee")

    written = (place * tl.num_programs(1) * GROUP + query_head) * NUM_SPLITS + split
    channel = tl.arange(0, PADDED_VALUE_SIZE)
    tl.store(
        output + written[:, None] * VALUE_SIZE + channel[None, :],
        (sums / total[:, None]).to(output.dtype.element_ty),
        mask=is_query[:, None] & (channel < VALUE_SIZE)[None, :],
    )
    if NUM_SPLITS > 1:
        tl.store(totals + written, best + tl.log2(total), mask=is_query)


@triton.jit(do_not_specialize_on_alignment=_INDICES)
def combine_kernel(
    parts,
    totals,
    output,
    lengths,
    VALUE_SIZE: tl.constexpr,
    PADDED_VALUE_SIZE: tl.constexpr,
    SPAN: tl.constexpr,
    NUM_SPLITS: tl.constexpr,
) -> None:
    """Sum the partial results of a row, weighted by their shares of the softmax.

    Grid: (rows of one token, query heads). Parts without keys were never written and are skipped.
    The result is zeros for a row of length 0.
    """
    row, head = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + row)
    place = row.to(tl.int64) * tl.num_programs(1) + head
    split = tl.arange(0, NUM_SPLITS)
    is_used = split * SPAN < length
    written = place * NUM_SPLITS + split
    total = tl.load(totals + written, mask=is_used, other=float("-inf"))
    shares = tl.where(is_used, tl.exp2(total - tl.max(total, 0)), 0.0)
    part = _load(parts + written * VALUE_SIZE, is_used, VALUE_SIZE, PADDED_VALUE_SIZE)
    whole = tl.where(length > 0, tl.sum(shares, 0), 1.0)
    result = tl.sum(part * shares[:, None], 0) / whole
    channel = tl.arange(0, PADDED_VALUE_SIZE)
    tl.store(
        output + place * VALUE_SIZE + channel,
        result.to(output.dtype.element_ty),
        mask=channel < VALUE_SIZE,
    )
