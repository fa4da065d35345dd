"""Draws one token per row of logits; a row's token depends on that row alone.

A row that truncates draws in falling order of probability: its uniform number says how far down.
Knows parameters and scores; nothing of sequences, grammars or the network.
"""

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from worker.engine.params import SamplingParams
from worker.engine.quantiles import Quantiles

# Most rows are decided by so few candidates; the others are put in order only where it matters.
_NUM_CANDIDATES = 64

_GREEDY_BELOW = 1e-5

# So few rows at a time stay in a processor's cache from one operation to the next.
_CPU_ROWS = 8


@dataclass(frozen=True, slots=True)
class Draw:
    """What one row asks for: its parameters and the place of the token in its answer."""

    params: SamplingParams
    position: int

    @property
    def is_greedy(self) -> bool:
        """Whether it takes the likeliest token."""
        return self.params.temperature < _GREEDY_BELOW

    @property
    def truncates(self) -> bool:
        """Whether unlikely tokens are left out."""
        return self.params.top_k > 0 or self.params.top_p < 1 or self.params.min_p > 0


@dataclass(frozen=True, slots=True)
class _Limits:
    """Top-k, top-p and min-p of some rows, each as a column."""

    top_k: Tensor
    top_p: Tensor
    min_p: Tensor

    @classmethod
    def of(cls, draws: list[Draw], like: Tensor) -> "_Limits":
        vocab = like.shape[1]
        return cls(
            _column([min(draw.params.top_k or vocab, vocab) for draw in draws], like.device),
            _column([draw.params.top_p for draw in draws], like.device),
            _column([draw.params.min_p for draw in draws], like.device),
        )


def sample(logits: Tensor, draws: list[Draw]) -> list[int | None]:
    """Return a token per row of `logits` [rows, vocab]; None where no token has a finite score."""
    best = logits.amax(dim=-1)
    is_finite: list[bool] = best.isfinite().tolist()
    tokens: list[int | None] = [None] * len(draws)
    greedy = [n for n, draw in enumerate(draws) if is_finite[n] and draw.is_greedy]
    if greedy:
        _put(tokens, greedy, _take(logits, greedy).argmax(dim=-1))
    rows = [n for n, draw in enumerate(draws) if is_finite[n] and not draw.is_greedy]
    size = _CPU_ROWS if logits.device.type == "cpu" else len(rows)
    for start in range(0, len(rows), max(1, size)):
        part = rows[start : start + size]
        _put(tokens, part, _draw(logits, best, part, [draws[row] for row in part]))
    return tokens


def uniform(seed: int, position: int) -> float:
    """Return the number in [0, 1) that (seed, position) stands for, wherever it is asked.

    It has 24 bits, so that in float32 its product with a sum of probabilities stays below it.
    """
    key = f"{seed}:{position}".encode()
    return int.from_bytes(blake2b(key, digest_size=3).digest(), "big") / 2**24


def _draw(logits: Tensor, best: Tensor, rows: list[int], draws: list[Draw]) -> Tensor:
    """Draw a token for each of some rows; `best` has the best logit of every row."""
    temperatures = _column([draw.params.temperature for draw in draws], logits.device)
    scores = (_take(logits, rows) - _take(best, rows)[:, None]).div_(temperatures)
    weights = scores.exp()
    uniforms = _column([uniform(draw.params.seed, draw.position) for draw in draws], scores.device)
    tokens = torch.empty(len(draws), dtype=torch.long, device=scores.device)
    plain = [row for row, draw in enumerate(draws) if not draw.truncates]
    if plain:
        tokens[plain] = _invert(_take(weights, plain), uniforms[plain])
    cut = [row for row, draw in enumerate(draws) if draw.truncates]
    if cut:
        limits = _Limits.of([draws[row] for row in cut], scores)
        found, is_decided = _among_the_best(_take(weights, cut), limits, uniforms[cut])
        tokens[cut] = found
        cut = [row for row, value in zip(cut, is_decided.tolist(), strict=True) if not value]
    if cut:
        limits = _Limits.of([draws[row] for row in cut], scores)
        quantiles = Quantiles(_take(scores, cut), _take(weights, cut))
        tokens[cut] = _among_all(quantiles, limits, uniforms[cut])
    return tokens


def _among_the_best(weights: Tensor, limits: _Limits, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Draw among a few candidates: top-k, then top-p of what it left, then min-p.

    The second tensor tells for which rows these candidates held everything that may be drawn.
    """
    vocab = weights.shape[1]
    num_candidates = min(_NUM_CANDIDATES, vocab)
    best, ids = weights.topk(num_candidates, dim=-1)
    best *= torch.arange(num_candidates, device=weights.device) < limits.top_k
    within = limits.top_k <= num_candidates
    mass = torch.where(within, best.sum(-1, keepdim=True), weights.sum(-1, keepdim=True))
    before = (best.cumsum(-1) - best) / mass
    kept = best * ((before < limits.top_p) & (best >= limits.min_p))
    is_cut = (before[:, -1:] >= limits.top_p) | (best[:, -1:] < limits.min_p)
    is_decided = within | (is_cut & (limits.top_k == vocab)) | (best[:, -1:] == 0)
    return ids.gather(1, _invert(kept, uniforms)[:, None])[:, 0], is_decided[:, 0]


def _among_all(quantiles: Quantiles, limits: _Limits, uniforms: Tensor) -> Tensor:
    """The same, however many tokens are left to draw from."""
    mass = quantiles.mass_of_first(limits.top_k)
    kept = torch.minimum(mass, quantiles.mass_until(mass * limits.top_p))
    kept = torch.minimum(kept, quantiles.mass_above(limits.min_p))
    return quantiles.token_at(kept * uniforms)


def _invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return, per row, the index at which the running sum of `weights` passes its uniform."""
    sums = weights.cumsum(-1)
    indices = torch.searchsorted(sums, uniforms * sums[:, -1:], right=True)
    return indices[:, 0].clamp_(max=weights.shape[1] - 1)


def _take(values: Tensor, rows: list[int]) -> Tensor:
    """Return these rows, which rise, without a copy if they lie together."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return values[rows[0] : rows[-1] + 1]
    return values[rows]


def _put(tokens: list[int | None], rows: list[int], drawn: Tensor) -> None:
    for row, token in zip(rows, drawn.tolist(), strict=True):
        tokens[row] = token


def _column(values: list[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None]
