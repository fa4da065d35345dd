"""Packing of scheduled chunks into one row of tokens without padding.

All values are Python integers on the host; the forward passes build tensors from them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from worker.engine.image_features import GridRows, ImageRows
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.chunk import Chunk

LONG_OFFSET = 1 << 24
"""Number added to the positions of sequences that have the rotary factors of long ones."""


@dataclass(frozen=True, slots=True)
class Row:
    """Part of one sequence in a step: consecutive tokens, and the keys that they attend to."""

    num_tokens: int
    num_keys: int
    """Number of keys of the sequence, up to and including these tokens."""
    blocks: list[int]
    """Cache blocks that hold the keys."""
    has_long_positions: bool = False
    """True if the sequence has the rotary factors of long ones."""
    state_slot: int | None = None
    """Slot of the sequence's states; None if the network keeps none."""
    num_generated: int = 0
    """Number of these tokens, the last ones, that are no part of the prompt."""
    image_ends: list[int] | None = None
    """For each token, the end of the keys that it attends to where the tokens of an image attend to
    each other; None if the row has none of an image."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Packed tokens of one step, concatenated over rows, single-token rows (decodes) first."""

    token_ids: list[int]
    positions: list[int]
    """Position of each token in its sequence, as the network counts them: on the first axis."""
    write_slots: list[int]
    """Cache slot of each token's keys and values."""
    rows: list[Row]
    num_decodes: int
    """Number of rows of one token."""
    sampled_rows: list[int]
    """Index of the last token of each chunk that is its sequence's last, in batch order."""
    images: list[ImageRows]
    """Image tokens of the step, with their features."""
    grid: list[GridRows]
    """Tokens of the step whose positions may differ between the axes (M-RoPE)."""

    @property
    def rotary_positions(self) -> list[int]:
        """Positions, raised by `LONG_OFFSET` for sequences that have the factors of long ones."""
        if not any(row.has_long_positions for row in self.rows):
            return self.positions
        offsets = [
            LONG_OFFSET * row.has_long_positions for row in self.rows for _ in range(row.num_tokens)
        ]
        return [position + offset for position, offset in zip(self.positions, offsets, strict=True)]


def pack(batch: list[Chunk], block_size: int) -> Pack:
    """Return the packed batch, with decodes in order of their number of keys."""
    decodes = sorted((chunk for chunk in batch if chunk.num_tokens == 1), key=_num_keys)
    prefills = [chunk for chunk in batch if chunk.num_tokens > 1]
    ends: dict[str, int] = {}
    token_ids: list[int] = []
    positions: list[int] = []
    write_slots: list[int] = []
    images: list[ImageRows] = []
    grid: list[GridRows] = []
    for chunk in decodes + prefills:
        sequence, start = chunk.sequence, chunk.sequence.num_computed
        images += _image_rows(chunk, len(token_ids))
        grid += _grid_rows(chunk, len(token_ids))
        token_ids += sequence.tokens[start : start + chunk.num_tokens]
        positions += _positions(sequence, start, start + chunk.num_tokens)
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
        grid=grid,
    )


def _num_keys(chunk: Chunk) -> int:
    return chunk.sequence.num_computed + chunk.num_tokens


def _row(chunk: Chunk, block_size: int) -> Row:
    num_keys = _num_keys(chunk)
    blocks = chunk.sequence.blocks[: -(-num_keys // block_size)]
    sequence = chunk.sequence
    return Row(
        chunk.num_tokens,
        num_keys,
        blocks,
        sequence.has_long_positions,
        sequence.state_slot,
        min(chunk.num_tokens, max(0, num_keys - sequence.num_prompt)),
        _image_ends(chunk),
    )


def _image_ends(chunk: Chunk) -> list[int] | None:
    start, end = chunk.sequence.num_computed, _num_keys(chunk)
    images = [image for image in chunk.sequence.images if image.is_whole]
    within = [image for image in images if image.rows_within(start, end)]
    if not within:
        return None
    ends = list(range(start + 1, end + 1))
    for image in within:
        for row in image.rows_within(start, end):
            ends[image.positions[row] - start] = image.positions[-1] + 1
    return ends


def _image_rows(chunk: Chunk, place: int) -> list[ImageRows]:
    """Return the images in a chunk whose first token has index `place` in the pack."""
    start = chunk.sequence.num_computed
    rows = []
    for image in chunk.sequence.images:
        if within := image.rows_within(start, start + chunk.num_tokens):
            places = [image.positions[row] - start + place for row in within]
            taken = slice(within.start, within.stop)
            deep = None if image.deep_features is None else image.deep_features[:, taken]
            rows.append(ImageRows(places, image.features[taken], deep))
    return rows


def _positions(sequence: Sequence, start: int, end: int) -> Iterable[int]:
    return range(start, end) if sequence.grid is None else sequence.grid.first_axis(start, end)


def _grid_rows(chunk: Chunk, place: int) -> list[GridRows]:
    """Return the positions on all axes of a chunk whose first token has index `place`."""
    start, grid = chunk.sequence.num_computed, chunk.sequence.grid
    axes = None if grid is None else grid.all_axes(start, start + chunk.num_tokens)
    return [] if axes is None else [GridRows(place, axes)]


def _slots(sequence: Sequence, start: int, end: int, block_size: int) -> list[int]:
    return [
        sequence.blocks[position // block_size] * block_size + position % block_size
        for position in range(start, end)
    ]
