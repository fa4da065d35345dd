"""Draws one token per row of logits; a row's token depends on that row alone.

Everything happens where the logits are, and the host reads what came of it once. Knows parameters
and scores; nothing of sequences, grammars or the network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

from worker.engine.interface import Logprobs
from worker.engine.params import SamplingParams
from worker.engine.sampling.device_copy import is_remote, read_back, rows_at, upload
from worker.engine.sampling.logprobs import RawScores
from worker.engine.sampling.top_p import Asked, among_all, draw_truncated, invert

NO_TOKEN = -1

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


class Sampled(NamedTuple):
    """What the host learns of a step, row by row."""

    tokens: list[int | None]
    """None where no token has a finite score."""
    logprobs: list[Logprobs | None]
    """None where there is no token, and where nobody asks."""


class Drawn(NamedTuple):
    """The same on the device."""

    tokens: Tensor
    """[rows], int64; `NO_TOKEN` where no token has a finite score."""
    is_decided: Tensor
    """[rows]: false where `draw_on` is to draw the token."""


def sample(logits: Tensor, draws: Sequence[Draw], raw: RawScores | None = None) -> Sampled:
    """Draw a token per row of `logits` [rows, vocab]; `raw` are the scores for log probabilities.

    A device other than a CPU is waited for once; again, some ten times, in a step with a row of
    so flat a distribution that its likeliest tokens do not decide.
    """
    raw = raw or RawScores(logits, [None] * len(draws))
    drawn = draw(logits, draws)
    tokens, is_decided, packed = _read(drawn, raw)
    if undecided := [row for row, value in enumerate(is_decided) if not value]:
        draw_on(drawn, logits, draws, undecided)
        tokens, _, packed = _read(drawn, raw)
    found = [None if token == NO_TOKEN else token for token in tokens]
    return Sampled(found, raw.unpack(packed, found))


def draw(logits: Tensor, draws: Sequence[Draw]) -> Drawn:
    """Draw for every row, on the device; the host waits for nothing."""
    device = logits.device
    greedy, plain, truncated = _by_kind(draws)
    if len(greedy) == len(draws):
        best, tokens = logits.max(dim=-1)
    else:
        best = logits.amax(dim=-1)
        tokens = torch.empty(len(draws), dtype=torch.long, device=device)
        if greedy:
            at = rows_at(greedy, device)
            tokens[at] = logits[at].argmax(dim=-1)
    is_decided = torch.ones(len(draws), dtype=torch.bool, device=device)
    for rows in _parts(plain, device):
        at = rows_at(rows, device)
        scores, asked = _prepare(logits[at], best[at], [draws[row] for row in rows])
        tokens[at] = invert(scores.exp_(), asked.uniform)
    for rows in _parts(truncated, device):
        at = rows_at(rows, device)
        scores, asked = _prepare(logits[at], best[at], [draws[row] for row in rows])
        tokens[at], is_decided[at] = draw_truncated(scores, asked)
    return Drawn(tokens.masked_fill_(~best.isfinite(), NO_TOKEN), is_decided)


def draw_on(drawn: Drawn, logits: Tensor, draws: Sequence[Draw], undecided: Sequence[int]) -> None:
    """Draw among all tokens for these rows, into `drawn`."""
    at = rows_at(undecided, logits.device)
    scores, asked = _prepare(logits[at], logits[at].amax(dim=-1), [draws[row] for row in undecided])
    drawn.tokens[at] = among_all(scores, scores.exp(), asked)


def uniform(seed: int, position: int) -> float:
    """Return the number in [0, 1) that (seed, position) stands for, wherever it is asked.

    It has 24 bits, so that in float32 its product with a sum of probabilities stays below it.
    """
    key = f"{seed}:{position}".encode()
    return int.from_bytes(blake2b(key, digest_size=3).digest(), "big") / 2**24


def _read(drawn: Drawn, raw: RawScores) -> tuple[list[int], list[int], Tensor]:
    """Return tokens, which of them are decided, and packed log probabilities, all in one copy.

    As int32: floating point would round token ids.
    """
    packed = raw.pack(drawn.tokens)
    parts = drawn.tokens.int(), drawn.is_decided.int(), packed.flatten()
    numbers = read_back(torch.cat(parts))
    num_rows = len(drawn.tokens)
    tokens, is_decided = numbers[: 2 * num_rows].view(2, num_rows).tolist()
    return tokens, is_decided, numbers[2 * num_rows :].view(packed.shape)


def _by_kind(draws: Sequence[Draw]) -> tuple[list[int], list[int], list[int]]:
    """Return the rows that are greedy, those that draw among all tokens, and those among some."""
    greedy: list[int] = []
    plain: list[int] = []
    truncated: list[int] = []
    for row, each in enumerate(draws):
        kind = greedy if each.is_greedy else truncated if each.truncates else plain
        kind.append(row)
    return greedy, plain, truncated


def _parts(rows: Sequence[int], device: torch.device) -> Iterator[Sequence[int]]:
    """Yield the rows: on a CPU a few at a time, elsewhere all at once."""
    size = max(1, len(rows)) if is_remote(device) else _CPU_ROWS
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _prepare(logits: Tensor, best: Tensor, draws: Sequence[Draw]) -> tuple[Tensor, Asked]:
    """Return scores [rows, vocab] with 0 as their best, and what is asked; `best` are the highest
    logits [rows]."""
    vocab = logits.shape[1]
    rows = [
        (
            each.params.temperature,
            uniform(each.params.seed, each.position),
            min(each.params.top_k or vocab, vocab),
            each.params.top_p,
            each.params.min_p,
        )
        for each in draws
    ]
    columns = torch.tensor(list(zip(*rows, strict=True)), dtype=torch.float32)
    asked = Asked(*upload(columns, logits.device)[:, :, None])
    return (logits - best[:, None]).div_(asked.temperature), asked
