"""What an engine needs of a forward pass, whichever library computes it."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from worker.engine.image_features import EncodedImage
from worker.engine.interface import PromptImage
from worker.engine.transformers.batch.packing import Pack


class Forward(Protocol):
    """A loaded network with the cache of keys and values that it owns."""

    block_size: int
    """Tokens of a block of the cache."""
    num_blocks: int
    vocab_size: int
    """Width of the logits."""
    eos_token_ids: frozenset[int]
    """With which the network ends an answer."""
    context_length: int
    """Most tokens of a sequence that network and cache hold."""

    def __call__(self, packed: Pack) -> Tensor:
        """Compute a step: write the keys and values of its tokens to their blocks, and return
        float32 logits [sampled, vocab], which the next call may overwrite."""

    def encode_images(self, images: Sequence[PromptImage], salt: bytes) -> list[EncodedImage]:
        """Compute what the language model sees of a prompt's images, or remember it.

        Safe from any thread. Raises `ValueError` if the network takes no images, or not these.
        """
