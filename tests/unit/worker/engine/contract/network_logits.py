"""Logits of the network that the engines under test run, as transformers computes them."""

from typing import Any

import numpy as np
import torch


@torch.inference_mode()
def logits_after_each(network: Any, prompt: list[int], tokens: list[int]) -> np.ndarray:
    """Return the logits that each token is drawn from, [tokens, vocab]."""
    ids = torch.tensor([[*prompt, *tokens]])
    logits: np.ndarray = network(ids).logits[0, len(prompt) - 1 : -1].numpy()
    return logits
