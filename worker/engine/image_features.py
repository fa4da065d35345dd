"""Image features, which replace the embeddings of an image's placeholder tokens."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

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

    def rows_within(self, start: int, end: int) -> range:
        """Return the rows of `features` whose tokens lie in `start:end` of the prompt."""
        return range(bisect_left(self.positions, start), bisect_left(self.positions, end))


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Features of the image tokens that one step computes."""

    places: list[int]
    """Indices of the tokens in the packed batch."""
    features: Tensor
    """[places, hidden]."""
