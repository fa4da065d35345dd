"""Draws one token per row of logits; a row's token depends on that row alone.

Knows parameters and scores; nothing of sequences, grammars or the network.
"""

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from worker.engine.params import SamplingParams

# Most rows are decided by few candidates; a full sort of the vocabulary is the last resort.
_NUM_CANDIDATES = (64, 1024)

_GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class Draw:
    """What one row asks for: its parameters and the place of the token in its answer."""

    params: SamplingParams
    position: int


def sample(logits: Tensor, draws: list[Draw]) -> list[int | None]:
    """Return a token per row of `logits` [rows, vocab]; None where no token has a finite score."""
    best = logits.max(dim=-1)
    tokens = best.indices.clone()
    rows = [row for row, draw in enumerate(draws) if draw.params.temperature >= _GREEDY_BELOW]
    if rows:
        chosen = [draws[row] for row in rows]
        temperatures = _column([draw.params.temperature for draw in chosen], logits.device)
        tokens[rows] = _draw(logits[rows] / temperatures, chosen)
    is_finite = best.values.isfinite().tolist()
    return [token if ok else None for token, ok in zip(tokens.tolist(), is_finite, strict=True)]


def uniform(seed: int, position: int) -> float:
    """Return the number in [0, 1) that (seed, position) stands for, wherever it is asked.

    It has 24 bits, so that in float32 its product with a sum of probabilities stays below it.
    """
    key = f"{seed}:{position}".encode()
    return int.from_bytes(blake2b(key, digest_size=3).digest(), "big") / 2**24


def _draw(scores: Tensor, draws: list[Draw]) -> Tensor:
    uniforms = _column([uniform(draw.params.seed, draw.position) for draw in draws], scores.device)
    tokens = torch.empty(len(draws), dtype=torch.long, device=scores.device)
    is_plain = [not _truncates(draw.params) for draw in draws]
    plain = [row for row, value in enumerate(is_plain) if value]
    if plain:
        tokens[plain] = _invert(scores[plain].softmax(-1), uniforms[plain])
    rows = [row for row, value in enumerate(is_plain) if not value]
    for num_candidates in (*_NUM_CANDIDATES, scores.shape[1]):
        if not rows:
            break
        params = [draws[row].params for row in rows]
        found, is_decided = _truncated(scores[rows], params, uniforms[rows], num_candidates)
        tokens[rows] = found
        rows = [row for row, value in zip(rows, is_decided.tolist(), strict=True) if not value]
    return tokens


def _truncates(params: SamplingParams) -> bool:
    return params.top_k > 0 or params.top_p < 1 or params.min_p > 0


def _truncated(
    scores: Tensor, params: list[SamplingParams], uniforms: Tensor, num_candidates: int
) -> tuple[Tensor, Tensor]:
    """Draw among the best candidates: top-k, then top-p of what it left, then min-p.

    The second tensor tells for which rows these candidates held everything that may be drawn.
    """
    vocab, device = scores.shape[1], scores.device
    num_candidates = min(num_candidates, vocab)
    top_k = _column([min(each.top_k or vocab, vocab) for each in params], device)
    top_p = _column([each.top_p for each in params], device)
    min_p = _column([each.min_p for each in params], device)
    best, ids = scores.topk(num_candidates, dim=-1)
    probabilities = (best - scores.logsumexp(-1, keepdim=True)).exp()
    probabilities *= torch.arange(num_candidates, device=device) < top_k
    within = top_k <= num_candidates
    mass = torch.where(within, probabilities.sum(-1, keepdim=True), 1.0)
    probabilities /= mass
    before = probabilities.cumsum(-1) - probabilities
    floor = min_p * probabilities[:, :1]
    kept = probabilities * ((before < top_p) & (probabilities >= floor))
    is_cut = (before[:, -1:] >= top_p) | (probabilities[:, -1:] < floor)
    is_decided = within | (is_cut & (top_k == vocab))
    return ids.gather(1, _invert(kept, uniforms)[:, None])[:, 0], is_decided[:, 0]


def _invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return, per row, the index at which the running sum of `weights` passes its uniform."""
    sums = weights.cumsum(-1)
    indices = torch.searchsorted(sums, uniforms * sums[:, -1:], right=True)
    return indices[:, 0].clamp_(max=weights.shape[1] - 1)


def _column(values: list[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None]
