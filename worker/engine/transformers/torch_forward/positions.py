"""Positions for networks that count those of their tokens in the cache, such as Llama 4.

Llama 4 scales the queries of some layers by their position. It takes the cache's number of tokens
for the position of the first token of a step, which is right for a batch of one sequence.
"""

from typing import Any

import torch
from torch import Tensor, nn


class PositionCache:
    """Cache that holds nothing but makes a network count the positions of a pack."""

    def __init__(self, positions: Tensor) -> None:
        tokens = torch.arange(len(positions), device=positions.device)
        self._offsets = positions - tokens

    def get_seq_length(self, *_: Any) -> Tensor:
        """Return what has to be added to the index of each token to get its position."""
        return self._offsets

    def update(self, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Return the new keys and values, which attention stores."""
        return key, value


def counts_positions(model: nn.Module) -> bool:
    """Return True if a network needs a `PositionCache`."""
    return any(getattr(module, "attn_temperature_tuning", False) for module in model.modules())
