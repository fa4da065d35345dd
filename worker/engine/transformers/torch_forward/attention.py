"""Attention over a paged pool of keys and values, registered with transformers by name.

Owns the pool's tensors, and hands each layer's attention to the step that is computed: a
`paged_step` or, on CUDA devices, a `fused_step`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from worker.engine.interface import UnsupportedModelError

ATTENTION_NAME = "antiphon_paged"

_NUM_SCRATCH_SLOTS = 16
"""One is used. With so many, heads lie a multiple of 16 numbers apart: kernels read wide words."""

_UNSUPPORTED_OPTIONS = ("softcap", "position_bias")


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """How a layer attends, as transformers says it."""

    scale: float | None = None
    """Of scores; None: one over the root of the size of a head."""
    window: int | None = None
    """Tokens that a query sees, itself included; None: all up to itself."""
    sinks: Tensor | None = None
    """[query heads]: logits that take part in each head's softmax without a value."""


class AttentionStep(Protocol):
    """What a forward pass hands down to the attention of every layer."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Map query [heads, tokens, size] and new keys and values to [tokens, heads, size]."""


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What a forward pass over packed tokens is given."""

    token_ids: Tensor
    """[1, tokens]"""
    positions: Tensor
    """[1, tokens]"""
    sampled_rows: Tensor
    """[sampled]: the tokens whose logits are wanted, in their order."""
    attention: AttentionStep


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one token of one layer takes in the pool."""

    num_heads: int
    key_size: int
    value_size: int


class KeyValuePool:
    """Per layer, the keys and values of every slot: [heads, slots, size].

    Heads first, as attention wants them: what a head reads of a sequence lies together.
    """

    def __init__(
        self, layers: list[LayerShape], num_slots: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.scratch_slot = num_slots
        """One that belongs to no block: rows that only fill up a batch write to it."""
        num_slots += _NUM_SCRATCH_SLOTS
        # Never read before it is written, so not cleared: untouched pages cost no memory.
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
    for name in _UNSUPPORTED_OPTIONS:
        if options.get(name) is not None:
            raise UnsupportedModelError(f"its attention uses {name}")
    # Squeezed, not indexed: in a graph that is traced, an index would copy.
    packed = query.squeeze(0), key.squeeze(0), value.squeeze(0)
    how = AttentionOptions(scaling, sliding_window, s_aux)
    output = paged.attend(module.layer_idx, *packed, how)
    return output[None], None


def register_attention() -> None:
    """Make `ATTENTION_NAME` known to transformers, but not to its makers of masks: for a name that
    they do not know they return at once, else they ask the device about the positions first."""
    # Takes a second and is not needed where a graph is read from disk.
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION_NAME, _attention)
