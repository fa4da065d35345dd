"""Draws among the tokens that top-k, then top-p, then min-p leave, and among all.

A row draws in falling order of probability: its uniform number says how far down.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from worker.engine.sampling.device_copy import is_remote, rows_at
from worker.engine.sampling.quantiles import Quantiles

# Most rows are decided by so few candidates; the others are put in order only where it matters.
_NUM_CANDIDATES = 64


class Asked(NamedTuple):
    """What some rows ask for, and their uniform numbers: each a column [rows, 1] of float32."""

    temperature: Tensor
    uniform: Tensor
    top_k: Tensor
    """The size of the vocabulary where there is no limit."""
    top_p: Tensor
    min_p: Tensor


def draw_truncated(scores: Tensor, asked: Asked) -> tuple[Tensor, Tensor]:
    """Draw a token per row of scores [rows, vocab] with 0 as their best.

    The second tensor is false for the rows that are yet to be drawn among all, because too few
    candidates were looked at: none where the host can see that without waiting.
    """
    weights = scores.exp()
    tokens, is_decided = _among_the_best(weights, asked)
    if is_remote(scores.device):
        return tokens, is_decided
    if rest := [row for row, value in enumerate(is_decided.tolist()) if not value]:
        at = rows_at(rest, scores.device)
        tokens[at] = among_all(scores[at], weights[at], Asked(*(each[at] for each in asked)))
    return tokens, torch.ones_like(is_decided)


def _among_the_best(weights: Tensor, asked: Asked) -> tuple[Tensor, Tensor]:
    """Draw among a few candidates, and tell where these are all that may be drawn."""
    vocab = weights.shape[1]
    num_candidates = min(_NUM_CANDIDATES, vocab)
    best, ids = weights.topk(num_candidates, dim=-1)
    best *= torch.arange(num_candidates, device=weights.device) < asked.top_k
    within = asked.top_k <= num_candidates
    mass = torch.where(within, best.sum(-1, keepdim=True), weights.sum(-1, keepdim=True))
    before = (best.cumsum(-1) - best) / mass
    kept = best * ((before < asked.top_p) & (best >= asked.min_p))
    is_cut = (before[:, -1:] >= asked.top_p) | (best[:, -1:] < asked.min_p)
    is_decided = within | (is_cut & (asked.top_k == vocab)) | (best[:, -1:] == 0)
    is_decided |= best[:, :1].isnan()  # without a finite score there is nothing to draw
    return ids.gather(1, invert(kept, asked.uniform)[:, None])[:, 0], is_decided[:, 0]


def among_all(scores: Tensor, weights: Tensor, asked: Asked) -> Tensor:
    """Draw among all tokens of scores with 0 as their best; `weights` are their exponentials.

    Waits for the device, several times, to learn how many tokens are to be put in order.
    """
    quantiles = Quantiles(scores, weights)
    mass = quantiles.mass_of_first(asked.top_k)
    kept = torch.minimum(mass, quantiles.mass_until(mass * asked.top_p))
    kept = torch.minimum(kept, quantiles.mass_above(asked.min_p))
    return quantiles.token_at(kept * asked.uniform)


def invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return, per row, the index at which the running sum of `weights` passes its uniform."""
    sums = weights.cumsum(-1)
    indices = torch.searchsorted(sums, uniforms * sums[:, -1:], right=True)
    return indices[:, 0].clamp_(max=weights.shape[1] - 1)
