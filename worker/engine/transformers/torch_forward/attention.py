"""Attention over a paged pool of keys and values, registered with transformers by name.

Owns the pool's tensors, and passes each layer's attention to the current step: a `PagedStep` or, on
CUDA devices, a `FusedStep`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from worker.engine.interface import UnsupportedModelError

ATTENTION_NAME = "antiphon_paged"

_NUM_SCRATCH_SLOTS = 16
"""Scratch slots, of which two are used. With 16 of them, heads stay a multiple of 16 numbers apart,
which lets kernels load wide words."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """Keys that the queries of a layer attend to: all up to themselves, or only the latest."""

    window: int | None = None
    """Number of keys that a query attends to, its own included; None: all."""
    chunk: int | None = None
    """Size of the chunks that a sequence is divided into, if queries attend only within their own
    (Llama 4)."""
    is_two_way: bool = False
    """True if the tokens of an image attend to all of the image, later ones included (Gemma)."""

    def first_key(self, position: int) -> int:
        """Return the position of the first key that the query at `position` attends to."""
        if self.window is not None:
            return max(0, position - self.window + 1)
        return 0 if self.chunk is None else position // self.chunk * self.chunk

    def hides_any(self, num_keys: int) -> bool:
        """Return True if some query of a sequence of `num_keys` tokens does not see its start."""
        return self.first_key(num_keys - 1) > 0

    def mask(self, queries: Tensor, keys: Tensor, ends: Tensor | None = None) -> Tensor:
        """Return [queries, keys], True where a query attends to a key; takes their positions.

        `ends` are the ends of the keys that the queries attend to, by default after themselves.
        """
        queries = queries[:, None]
        visible = keys < (queries + 1 if ends is None else ends[:, None])
        if self.window is not None:
            visible &= keys > queries - self.window
        if self.chunk is not None:
            visible &= keys >= queries // self.chunk * self.chunk
        return visible


ALL_KEYS = Visibility()


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """Attention options of a layer, as transformers passes them."""

    scale: float | None = None
    """Factor of the scores; None: one over the square root of the head size."""
    softcap: float | None = None
    """Limit of the scores, which a tanh keeps within it (Gemma 2); None: no limit."""
    sinks: Tensor | None = None
    """[query heads]: logits in each head's softmax that have no value (gpt-oss)."""


class AttentionStep(Protocol):
    """Attention of one step, which the forward pass hands to every layer."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Map query [heads, tokens, size] and new keys and values to [tokens, heads, size]."""


@dataclass(frozen=True, slots=True)
class StepInputs:
    """Inputs of a forward pass over packed tokens."""

    token_ids: Tensor
    """[1, tokens]"""
    positions: Tensor
    """[1, tokens]"""
    sampled_rows: Tensor
    """[sampled]: indices of the tokens whose logits are computed, in output order."""
    attention: AttentionStep


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Keys and values of one token in a layer of the pool, and how queries attend to them."""

    num_heads: int
    key_size: int
    value_size: int
    visibility: Visibility = ALL_KEYS
    is_capped: bool = False
    """True if the layer has a `softcap`."""
    has_sinks: bool = False
    source: int | None = None
    """Number of the layer whose keys and values this one attends to, if it has none of its own."""

    @property
    def is_plain(self) -> bool:
        """Return True if the fused kernels compute the layer's attention."""
        return self.visibility == ALL_KEYS and not self.is_capped and not self.has_sinks


NO_KEYS = LayerShape(0, 0, 0)
"""Shape of a layer that does not attend."""


class KeyValuePool:
    """Keys and values of every slot, for each layer: [heads, slots, size].

    Heads come first, so that the keys that one head reads of a block are contiguous.
    """

    def __init__(
        self, layers: list[LayerShape], num_slots: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.scratch_slot = num_slots
        """Slot outside all blocks, which the padding rows of a batch write to."""
        self.zero_slot = num_slots + 1
        """Slot outside all blocks whose keys and values are zero."""
        self.visibility = [layer.visibility for layer in layers]
        num_slots += _NUM_SCRATCH_SLOTS
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        for layer in layers:
            for tensors, size in ((self.keys, layer.key_size), (self.values, layer.value_size)):
                if layer.source is not None:
                    tensors.append(tensors[layer.source])
                    continue
                # Not cleared, as no slot is read before it is written, but the one of zeros:
                # untouched pages cost no memory.
                shape = (layer.num_heads, num_slots, size)
                tensors.append(torch.empty(shape, dtype=dtype, device=device))
                tensors[-1][:, self.zero_slot] = 0


def _attention(  # noqa: PLR0913 - the signature is transformers'
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    paged: AttentionStep | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    if paged is None:
        raise UnsupportedModelError("it does not hand keyword arguments down to its attention")
    # transformers' masks are None here (see `register_attention`).
    if attention_mask is not None:
        raise UnsupportedModelError("its attention has a mask of its own")
    if position_bias is not None:
        raise UnsupportedModelError("its attention uses position_bias")
    # `squeeze` instead of an index, which would copy in a traced graph.
    packed = query.squeeze(0), key.squeeze(0), value.squeeze(0)
    options = AttentionOptions(scaling, softcap, s_aux)
    output = paged.attend(module.layer_idx, *packed, options)
    return output[None], None


def register_attention() -> None:
    """Register our attention with transformers as `ATTENTION_NAME`.

    The name is not registered with transformers' mask functions: for an unknown name they return at
    once, else they first read the positions back from the device.
    """
    # This import takes a second and is not needed where a graph is read from disk.
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION_NAME, _attention)
