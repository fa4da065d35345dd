"""Sampling with truncation by top-k, then top-p, then min-p.

Draws by inversion of the cumulative distribution, in descending order of probability.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from worker.engine.sampling.device_copy import is_remote, make_row_index
from worker.engine.sampling.quantiles import Quantiles

# Enough candidates to decide most rows; the others are sorted only where it matters.
_NUM_CANDIDATES = 64


class SamplingInputs(NamedTuple):
    """Sampling parameters and uniform numbers of some rows, as float32 columns [rows, 1]."""

    temperature: Tensor
    uniform: Tensor
    top_k: Tensor
    """Size of the vocabulary if there is no limit."""
    top_p: Tensor
    min_p: Tensor


def draw_truncated(scores: Tensor, inputs: SamplingInputs) -> tuple[Tensor, Tensor]:
    """Draw a token per row of scores [rows, vocab] whose highest score is 0.

    Return tokens [rows] and a bool tensor [rows] that is false for rows still to be drawn among all
    tokens, because the candidates did not suffice. On a CPU these are drawn at once.
    """
    weights = scores.exp()
    tokens, is_decided = _draw_among_best(weights, inputs)
    if is_remote(scores.device):
        return tokens, is_decided
    if rest := [row for row, value in enumerate(is_decided.tolist()) if not value]:
        index = make_row_index(rest, scores.device)
        rest_inputs = SamplingInputs(*(column[index] for column in inputs))
        tokens[index] = draw_among_all(scores[index], weights[index], rest_inputs)
    return tokens, torch.ones_like(is_decided)


def _draw_among_best(weights: Tensor, inputs: SamplingInputs) -> tuple[Tensor, Tensor]:
    """Draw among the likeliest candidates; return tokens and where the candidates suffice."""
    vocab = weights.shape[1]
    num_candidates = min(_NUM_CANDIDATES, vocab)
    best, ids = weights.topk(num_candidates, dim=-1)
    best *= torch.arange(num_candidates, device=weights.device) < inputs.top_k
    within = inputs.top_k <= num_candidates
    mass = torch.where(within, best.sum(-1, keepdim=True), weights.sum(-1, keepdim=True))
    before = (best.cumsum(-1) - best) / mass
    kept = best * ((before < inputs.top_p) & (best >= inputs.min_p))
    is_cut = (before[:, -1:] >= inputs.top_p) | (best[:, -1:] < inputs.min_p)
    is_decided = within | (is_cut & (inputs.top_k == vocab)) | (best[:, -1:] == 0)
    is_decided |= best[:, :1].isnan()  # no finite score, so no token to draw
    return ids.gather(1, invert_cdf(kept, inputs.uniform)[:, None])[:, 0], is_decided[:, 0]


def draw_among_all(scores: Tensor, weights: Tensor, inputs: SamplingInputs) -> Tensor:
    """Draw among all tokens of scores whose highest is 0; `weights` are their exponentials.

    Waits for the device several times, to learn how many tokens must be sorted.
    """
    quantiles = Quantiles(scores, weights)
    mass = quantiles.mass_of_first(inputs.top_k)
    kept = torch.minimum(mass, quantiles.mass_until(mass * inputs.top_p))
    kept = torch.minimum(kept, quantiles.mass_above(inputs.min_p))
    return quantiles.token_at(kept * inputs.uniform)


def invert_cdf(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return the index per row at which the running sum of `weights` exceeds the uniform share."""
    sums = weights.cumsum(-1)
    indices = torch.searchsorted(sums, uniforms * sums[:, -1:], right=True)
    return indices[:, 0].clamp_(max=weights.shape[1] - 1)
