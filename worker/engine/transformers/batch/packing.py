"""Lays scheduled chunks out as one row of packed tokens, without padding.

Numbers on the host; `paged_step` and `fused_step` make a device's tensors of them.
"""

from dataclasses import dataclass

from worker.engine.image_features import ImageRows
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.chunk import Chunk


@dataclass(frozen=True, slots=True)
class Row:
    """What a step computes of one sequence: consecutive tokens, and the keys that they may see."""

    num_tokens: int
    num_keys: int
    """Of the sequence, up to and with these tokens."""
    blocks: list[int]
    """Those that hold the keys."""


@dataclass(frozen=True, slots=True)
class Pack:
    """The tokens of one step, row after row, those of single-token rows first."""

    token_ids: list[int]
    positions: list[int]
    write_slots: list[int]
    """For each token, where its keys and values go."""
    rows: list[Row]
    num_decodes: int
    """Rows of one token."""
    sampled_rows: list[int]
    """For each chunk that is its sequence's last, in batch order, its last token's place."""
    images: list[ImageRows]
    """Tokens that stand for images."""


def pack(batch: list[Chunk], block_size: int) -> Pack:
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
    return Pack(
        token_ids=token_ids,
        positions=positions,
        write_slots=write_slots,
        rows=[_row(chunk, block_size) for chunk in decodes + prefills],
        num_decodes=len(decodes),
        sampled_rows=[ends[chunk.sequence.id] - 1 for chunk in batch if chunk.is_last],
        images=images,
    )


def _num_keys(chunk: Chunk) -> int:
    return chunk.sequence.num_computed + chunk.num_tokens


def _row(chunk: Chunk, block_size: int) -> Row:
    num_keys = _num_keys(chunk)
    blocks = chunk.sequence.blocks[: -(-num_keys // block_size)]
    return Row(chunk.num_tokens, num_keys, blocks)


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
