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
"""Scratch slots, of which one is used. With 16 of them, heads stay a multiple of 16 numbers apart,
which lets kernels load wide words."""

_UNSUPPORTED_OPTIONS = ("softcap", "position_bias")


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """Attention options of a layer, as transformers passes them."""

    scale: float | None = None
    """Factor of the scores; None: one over the square root of the head size."""
    window: int | None = None
    """Tokens that a query attends to, itself included; None: all up to itself."""
    sinks: Tensor | None = None
    """[query heads]: attention sinks, logits in each head's softmax that have no value."""


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
    """Shape of the keys and values of one token in one layer of the pool."""

    num_heads: int
    key_size: int
    value_size: int


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
        num_slots += _NUM_SCRATCH_SLOTS
        # Not cleared, as it is never read before it is written: untouched pages cost no memory.
        self.keys = [
            torch.empty(layer.num_heads, num_slots, layer.key_size, dtype=dtype, device=device)
            for layer in layers
        ]
        self.values = [
            torch.empty(layer.num_heads, num_slots, layer.value_size, dtype=dtype, device=device)
            for layer in layers
        ]


def _attention(  # noqa: PLR0913 - the signature is transformers'
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    paged: AttentionStep | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    if paged is None:
        raise UnsupportedModelError("it does not hand keyword arguments down to its attention")
    # transformers' masks are None here (see `register_attention`).
    if attention_mask is not None:
        raise UnsupportedModelError("its attention has a mask of its own")
    for name in _UNSUPPORTED_OPTIONS:
        if options.get(name) is not None:
            raise UnsupportedModelError(f"its attention uses {name}")
    # `squeeze` instead of an index, which would copy in a traced graph.
    packed = query.squeeze(0), key.squeeze(0), value.squeeze(0)
    layer_options = AttentionOptions(scaling, sliding_window, s_aux)
    output = paged.attend(module.layer_idx, *packed, layer_options)
    return output[None], None


def register_attention() -> None:
    """Register our attention with transformers as `ATTENTION_NAME`.

    The name is not registered with transformers' mask functions: for an unknown name they return at
    once, else they first read the positions back from the device.
    """
    # This import takes a second and is not needed where a graph is read from disk.
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION_NAME, _attention)
