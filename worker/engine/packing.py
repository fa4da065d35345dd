"""Turns scheduled chunks into the packed tensors of one forward pass, without padding.

Host-side indices only; the pool is addressed, never read.
"""

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from worker.engine.attention import DecodeGroup, PrefillChunk
from worker.engine.scheduler import Chunk
from worker.engine.sequence import Sequence
from worker.engine.vision import ImageRows

_SHORT_BITS = 7


@dataclass(frozen=True, slots=True)
class Pack:
    """The tokens of one step, those of single-token chunks first."""

    token_ids: Tensor
    positions: Tensor
    write_slots: Tensor
    groups: list[DecodeGroup]
    prefills: list[PrefillChunk]
    sampled_rows: Tensor
    """For each chunk that is its sequence's last, in batch order, its last token's place."""
    images: list[ImageRows]
    """Tokens that stand for images."""


def pack(batch: list[Chunk], block_size: int, device: torch.device) -> Pack:
    """Pack the batch; sequences of similar length decode together, so none pays for the longest."""
    decodes = sorted((c for c in batch if c.num_tokens == 1), key=_num_keys)
    prefills = [c for c in batch if c.num_tokens > 1]
    ends: dict[str, int] = {}
    token_ids: list[int] = []
    positions: list[int] = []
    write_slots: list[int] = []
    images: list[ImageRows] = []
    for chunk in decodes + prefills:
        sequence, start = chunk.sequence, chunk.sequence.num_computed
        images += _image_rows(chunk, len(token_ids))
        token_ids += sequence.tokens[start : start + chunk.num_tokens]
        positions += range(start, start + chunk.num_tokens)
        write_slots += _slots(sequence, start, start + chunk.num_tokens, block_size)
        ends[sequence.id] = len(token_ids)
    sampled = [ends[chunk.sequence.id] - 1 for chunk in batch if chunk.is_last]
    return Pack(
        token_ids=torch.tensor([token_ids], device=device),
        positions=torch.tensor([positions], device=device),
        write_slots=torch.tensor(write_slots, device=device),
        groups=_decode_groups(decodes, block_size, device),
        prefills=[
            _prefill_chunk(chunk, ends[chunk.sequence.id], block_size, device) for chunk in prefills
        ],
        sampled_rows=torch.tensor(sampled, dtype=torch.long, device=device),
        images=images,
    )


def _num_keys(chunk: Chunk) -> int:
    return chunk.sequence.num_computed + chunk.num_tokens


def _image_rows(chunk: Chunk, place: int) -> list[ImageRows]:
    """The images in a chunk whose first token stands at `place` in the pack."""
    start = chunk.sequence.num_computed
    rows = []
    for image in chunk.sequence.images:
        if within := image.rows_within(start, start + chunk.num_tokens):
            places = [image.positions[row] - start + place for row in within]
            rows.append(ImageRows(places, image.features[within.start : within.stop]))
    return rows


def _slots(sequence: Sequence, start: int, end: int, block_size: int) -> list[int]:
    return [
        sequence.blocks[position // block_size] * block_size + position % block_size
        for position in range(start, end)
    ]


def _decode_groups(
    decodes: list[Chunk], block_size: int, device: torch.device
) -> list[DecodeGroup]:
    """Group rows, sorted by length, whose lengths lie within a factor of two; all short ones."""
    groups: list[DecodeGroup] = []
    for _, members in groupby(decodes, lambda row: max(_num_keys(row).bit_length(), _SHORT_BITS)):
        start = groups[-1].end if groups else 0
        groups.append(_decode_group(list(members), start, block_size, device))
    return groups


def _decode_group(
    chunks: list[Chunk], start: int, block_size: int, device: torch.device
) -> DecodeGroup:
    lengths = torch.tensor([_num_keys(chunk) for chunk in chunks])
    longest = int(lengths[-1])
    num_blocks = -(-longest // block_size)
    tables = [chunk.sequence.blocks[:num_blocks] for chunk in chunks]
    padded = torch.tensor([table + [0] * (num_blocks - len(table)) for table in tables])
    slots = _expand(padded, block_size)[:, :longest]
    is_key = torch.arange(longest)[None] < lengths[:, None]
    # Padding repeats the row's own first slot: a neighbour's NaN would pass through the mask.
    slots = torch.where(is_key, slots, slots[:, :1])
    return DecodeGroup(
        start=start,
        end=start + len(chunks),
        slots=slots.to(device),
        mask=is_key[:, None, None].to(device),
    )


def _prefill_chunk(chunk: Chunk, end: int, block_size: int, device: torch.device) -> PrefillChunk:
    sequence, num_keys = chunk.sequence, _num_keys(chunk)
    blocks = torch.tensor([sequence.blocks[: -(-num_keys // block_size)]])
    mask = None
    if sequence.num_computed:
        queries = torch.arange(sequence.num_computed, num_keys)
        mask = (torch.arange(num_keys)[None] <= queries[:, None]).to(device)
    return PrefillChunk(
        start=end - chunk.num_tokens,
        end=end,
        slots=_expand(blocks, block_size)[0, :num_keys].to(device),
        mask=mask,
    )


def _expand(blocks: Tensor, block_size: int) -> Tensor:
    """Map block numbers [rows, blocks] to the slots they cover [rows, blocks * block_size]."""
    return (blocks[:, :, None] * block_size + torch.arange(block_size)).flatten(1)
