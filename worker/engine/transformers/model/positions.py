"""Rotary positions with two sets of factors, of which a sequence has one by its length (longrope).

transformers chooses by the longest sequence of a batch. Here each token brings the choice of its
own sequence: the positions of sequences longer than the original length are raised by
`LONG_OFFSET`. So one input serves both, in every forward pass.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.batch.packing import LONG_OFFSET

_TYPE = "longrope"


class RotaryBySequence(nn.Module):
    """Rotary embedding that takes the factors of each token's sequence."""

    def __init__(self, rotary: Any) -> None:
        super().__init__()
        self.is_by_sequence = True
        """False while the embedding is to be that of transformers."""
        parameters = rotary.config.rope_parameters
        self.original_length = int(parameters["original_max_position_embeddings"])
        self._rotary = rotary
        self._short, self._long = copy.deepcopy(rotary), copy.deepcopy(rotary)
        frequencies, _ = ROPE_INIT_FUNCTIONS[_TYPE](
            rotary.config, rotary.inv_freq.device, seq_len=self.original_length + 1
        )
        self._long.inv_freq.copy_(frequencies)
        # Without its decorator, which would choose by the batch.
        self._embed = type(rotary).forward.__wrapped__

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines for each token."""
        if not self.is_by_sequence:
            found: tuple[Tensor, Tensor] = self._rotary(hidden, position_ids)
            return found
        is_long = position_ids >= LONG_OFFSET
        positions = position_ids - LONG_OFFSET * is_long
        # Some embeddings look at the largest position themselves.
        last = torch.full_like(positions[:, :1], self.original_length)
        short = self._embed(self._short, hidden, positions.clamp(max=self.original_length - 1))
        long = self._embed(self._long, hidden, torch.cat([positions, last], dim=1))
        cosines, sines = (
            torch.where(is_long[..., None], ours[:, :-1], others)
            for ours, others in zip(long, short, strict=True)
        )
        return cosines, sines


def split_positions(model: Any) -> int | None:
    """Let the model's rotary embeddings choose their factors by sequence.

    Returns the length above which a sequence has the long factors, or None if there are no such
    embeddings. Raises `UnsupportedModelError` for embeddings in another form.
    """
    names = [name for name, module in model.named_modules() if _uses_longrope(module)]
    lengths = set()
    for name in names:
        rotary = model.get_submodule(name)
        if rotary.rope_type != _TYPE or not hasattr(type(rotary).forward, "__wrapped__"):
            raise UnsupportedModelError("it has longrope positions of some layers alone")
        split = RotaryBySequence(rotary)
        model.set_submodule(name, split)
        lengths.add(split.original_length)
    if len(lengths) > 1:
        raise UnsupportedModelError(f"it has longrope positions of several lengths: {lengths}")
    return lengths.pop() if lengths else None


@contextmanager
def positions_by_batch(model: Any) -> Iterator[None]:
    """Let the rotary embeddings be those of transformers within the context."""
    split = [module for module in model.modules() if isinstance(module, RotaryBySequence)]
    for module in split:
        module.is_by_sequence = False
    yield
    for module in split:
        module.is_by_sequence = True


def _uses_longrope(module: nn.Module) -> bool:
    kind = getattr(module, "rope_type", None)
    return kind == _TYPE or (isinstance(kind, dict) and _TYPE in kind.values())
