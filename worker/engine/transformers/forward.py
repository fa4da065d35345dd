"""Interface of a forward pass, whichever library computes it."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from worker.engine.image_features import PromptImages
from worker.engine.interface import PromptImage
from worker.engine.transformers.batch.packing import Pack
from worker.engine.transformers.batch.state_blocks import StateSlots


class Forward(Protocol):
    """A loaded network and its KV cache."""

    block_size: int
    """Number of tokens in a cache block."""
    num_blocks: int
    """Number of blocks in the cache."""
    vocab_size: int
    """Width of the logits."""
    eos_token_ids: frozenset[int]
    """End-of-sequence tokens of the network."""
    original_length: int | None
    """Number of tokens above which all positions of a sequence have other rotary factors."""
    context_length: int
    """Largest number of tokens of a sequence that both network and cache can hold."""

    @property
    def states(self) -> StateSlots | None:
        """States of the sequences, or None if the network keeps none."""

    def __call__(self, packed: Pack) -> Tensor:
        """Compute a step and return float32 logits [sampled, vocab].

        Writes the keys and values of its tokens to their blocks. The next call may overwrite the
        logits.
        """

    def encode_images(
        self, prompt: Sequence[int], images: Sequence[PromptImage], salt: bytes
    ) -> PromptImages:
        """Return the images of a prompt, computed or from a cache.

        Thread-safe. Raises `ValueError` if the network accepts no images, or not these.
        """
