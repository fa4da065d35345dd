"""Images of a prompt as the language model sees them: features and positions of their tokens."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image of a prompt, encoded by the vision part of the network."""

    digest: bytes
    """Digest of the image's content."""
    positions: Sequence[int]
    """Indices of its placeholder tokens in the prompt, ascending."""
    features: Tensor
    """[positions, hidden]: rows that replace the embeddings of those tokens."""
    deep_features: Tensor | None = None
    """[levels, positions, hidden]: rows to add to the outputs of the first layers (DeepStack)."""
    is_whole: bool = False
    """True if its tokens attend to each other, so that one step must compute all of them."""

    def rows_within(self, start: int, end: int) -> range:
        """Return the rows of `features` whose tokens lie in `start:end` of the prompt."""
        return range(bisect_left(self.positions, start), bisect_left(self.positions, end))

    def is_cut(self, position: int) -> bool:
        """Return True if some of its tokens are before `position`, and some are not."""
        return self.positions[0] < position <= self.positions[-1]


@dataclass(frozen=True, slots=True)
class GridPositions:
    """Positions of a prompt's tokens on three axes: time, height and width (M-RoPE).

    The tokens of an image have their places in the image's grid; text continues after its longest
    edge. Tokens beyond `axes` have equal positions on all axes.
    """

    axes: Tensor
    """[3, tokens]: positions of the first tokens, up to the last that differ between the axes."""
    offset: int
    """Position of each later token, generated ones included, less its index."""

    @classmethod
    def of_prompt(cls, axes: Tensor, offset: int) -> "GridPositions":
        """Return the positions of a prompt, given for all of its tokens [3, tokens]."""
        is_plain = (axes == _plain(0, axes.shape[1], offset)).all(0)
        num_plain_at_end = int(is_plain.flip(0).long().cumprod(0).sum())
        return cls(axes[:, : axes.shape[1] - num_plain_at_end].contiguous(), offset)

    def first_axis(self, start: int, end: int) -> list[int]:
        """Return the positions of the tokens `start:end` on the first axis."""
        known: list[int] = self.axes[0, start:end].tolist()
        return [*known, *range(start + len(known) + self.offset, end + self.offset)]

    def all_axes(self, start: int, end: int) -> Tensor | None:
        """Return the positions of the tokens `start:end` [3, tokens]; None if all axes are equal.

        These are then the positions on the first axis.
        """
        known = self.axes[:, start:end]
        if not known.shape[1]:
            return None
        return torch.cat([known, _plain(start + known.shape[1], end, self.offset)], 1)


@dataclass(frozen=True, slots=True)
class PromptImages:
    """Images of a prompt, ready for the forward pass."""

    images: Sequence[EncodedImage] = ()
    grid: GridPositions | None = None
    """Positions of the tokens; None if each token's position is its index."""


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Features of the image tokens that one step computes."""

    places: list[int]
    """Indices of the tokens in the packed batch."""
    features: Tensor
    """[places, hidden]."""
    deep_features: Tensor | None = None
    """[levels, places, hidden]."""


@dataclass(frozen=True, slots=True)
class GridRows:
    """Positions on three axes of consecutive tokens of one step."""

    place: int
    """Index of the first token in the packed batch."""
    axes: Tensor
    """[3, tokens]."""


def place_positions(positions: Tensor, grid: Sequence[GridRows]) -> Tensor:
    """Return positions on three axes, [3, 1, tokens].

    They are those of `grid` for its tokens, and elsewhere those of `positions` [1, tokens].
    """
    axes = positions.repeat(3, 1)
    for rows in grid:
        axes[:, rows.place : rows.place + rows.axes.shape[1]] = rows.axes.to(axes.device)
    return axes[:, None]


def _plain(start: int, end: int, offset: int) -> Tensor:
    """Return equal positions on all axes, [3, tokens]."""
    return torch.arange(start + offset, end + offset).expand(3, -1)
