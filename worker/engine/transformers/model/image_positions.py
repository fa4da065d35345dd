"""Positions of a prompt with images on three axes (M-RoPE), as the network itself counts them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from worker.engine.image_features import GridPositions
from worker.engine.interface import PromptImage

_GRID = "image_grid_thw"
"""Input of these networks' vision parts: the size of each image in patches."""


def has_grid_positions(model: Any) -> bool:
    """Return True if the language model takes positions on three axes."""
    return hasattr(model.base_model, "get_rope_index")


@torch.inference_mode()
def grid_positions(
    model: Any, prompt: Sequence[int], images: Sequence[PromptImage]
) -> GridPositions | None:
    """Return the positions of a prompt's tokens; None if each token's position is its index.

    Raises `ValueError` if the images do not fit their tokens.
    """
    if not images or not has_grid_positions(model):
        return None
    types = torch.zeros(1, len(prompt), dtype=torch.long)
    for image in images:
        types[0, list(image.positions)] = 1
    grids: list[Tensor] = [torch.as_tensor(image.inputs[_GRID]) for image in images]
    try:
        axes, offset = model.base_model.get_rope_index(
            torch.tensor([list(prompt)]),
            mm_token_type_ids=types,
            image_grid_thw=torch.cat(grids),
        )
    except (RuntimeError, StopIteration) as error:
        raise ValueError("the images do not fit their tokens") from error
    return GridPositions.of_prompt(axes[:, 0], int(offset))
