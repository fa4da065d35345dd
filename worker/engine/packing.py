"""Turns scheduled chunks into the packed tensors of one forward pass, without padding.

Host-side indices only; the pool is addressed, never read.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engine.attention import Decodes, PrefillChunk
from worker.engine.decode_padded import PaddedDecodes
from worker.engine.decode_paged import PagedDecodes
from worker.engine.scheduler import Chunk
from worker.engine.sequence import Sequence
from worker.engine.vision import ImageRows


@dataclass(frozen=True, slots=True)
class Pack:
    """The tokens of one step, those of single-token chunks first."""

    token_ids: Tensor
    positions: Tensor
    write_slots: Tensor
    decodes: Decodes
    prefills: list[PrefillChunk]
    sampled_rows: Tensor
    """For each chunk that is its sequence's last, in batch order, its last token's place."""
    images: list[ImageRows]
    """Tokens that stand for images."""


def pack(batch: list[Chunk], block_size: int, device: torch.device) -> Pack:
    """Pack the batch, decodes in order of length."""
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
        decodes=_decodes(decodes, block_size, device),
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


def _decodes(chunks: list[Chunk], block_size: int, device: torch.device) -> Decodes:
    lengths = [_num_keys(chunk) for chunk in chunks]
    tables = [
        chunk.sequence.blocks[: -(-length // block_size)]
        for chunk, length in zip(chunks, lengths, strict=True)
    ]
    if device.type == "cpu":
        return PagedDecodes(tables, lengths, block_size)
    return PaddedDecodes(tables, lengths, block_size, device)


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
