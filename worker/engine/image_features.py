"""Features of images, in the place of the embeddings of the tokens that stand for them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as the language model sees it."""

    digest: bytes
    positions: Sequence[int]
    """Which tokens of the prompt stand for it, rising."""
    features: Tensor
    """[positions, hidden]: what stands in the place of their embeddings."""

    def rows_within(self, start: int, end: int) -> range:
        """The rows of `features` whose tokens lie in `start:end` of the prompt."""
        return range(bisect_left(self.positions, start), bisect_left(self.positions, end))


@dataclass(frozen=True, slots=True)
class ImageRows:
    """A part of an image in a pack: the places of its tokens, and their features."""

    places: list[int]
    features: Tensor
