"""Sampler: draws one token per row of logits; a row's token depends on that row alone.

Everything is computed on the device of the logits, and the host reads the results once.
Independent of sequences, grammars and the network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

from worker.engine.interface import Logprobs
from worker.engine.params import SamplingParams
from worker.engine.sampling.device_copy import is_remote, make_row_index, read_back, upload
from worker.engine.sampling.logprobs import RawScores
from worker.engine.sampling.top_p import SamplingInputs, draw_among_all, draw_truncated, invert_cdf

NO_TOKEN = -1

_GREEDY_BELOW = 1e-5

# Few enough rows to stay in the processor's cache from one operation to the next.
_CPU_ROWS = 8


@dataclass(frozen=True, slots=True)
class Draw:
    """Sampling request of one row: its parameters and the position of the token in the answer."""

    params: SamplingParams
    position: int

    @property
    def is_greedy(self) -> bool:
        """Return True if the likeliest token is selected."""
        return self.params.temperature < _GREEDY_BELOW

    @property
    def is_truncated(self) -> bool:
        """Return True if top-k, top-p or min-p exclude unlikely tokens."""
        return self.params.top_k > 0 or self.params.top_p < 1 or self.params.min_p > 0


class SampledTokens(NamedTuple):
    """Tokens and log probabilities of a step on the host, one entry per row."""

    tokens: list[int | None]
    """Drawn tokens; None for rows without a finite score."""
    logprobs: list[Logprobs | None]
    """Log probabilities; None for rows without a token or that request none."""


class DrawnTokens(NamedTuple):
    """Drawn tokens of a step on the device."""

    tokens: Tensor
    """[rows], int64; `NO_TOKEN` for rows without a finite score."""
    is_decided: Tensor
    """[rows], bool; false where `draw_undecided` has to draw the token."""


def sample(logits: Tensor, draws: Sequence[Draw], raw: RawScores | None = None) -> SampledTokens:
    """Draw a token per row of `logits` [rows, vocab]; `raw` has the log probabilities to report.

    Waits for a device other than a CPU once, and some ten times more in a step with a row whose
    distribution is so flat that the likeliest candidates do not decide it.
    """
    raw = raw or RawScores(logits, [None] * len(draws))
    drawn = draw(logits, draws)
    tokens, is_decided, packed = _read(drawn, raw)
    if undecided := [row for row, value in enumerate(is_decided) if not value]:
        draw_undecided(drawn, logits, draws, undecided)
        tokens, _, packed = _read(drawn, raw)
    sampled = [None if token == NO_TOKEN else token for token in tokens]
    return SampledTokens(sampled, raw.unpack(packed, sampled))


def draw(logits: Tensor, draws: Sequence[Draw]) -> DrawnTokens:
    """Draw a token for every row on the device, without waiting for it."""
    device = logits.device
    greedy, plain, truncated = _group_by_kind(draws)
    if len(greedy) == len(draws):
        best, tokens = logits.max(dim=-1)
    else:
        best = logits.amax(dim=-1)
        tokens = torch.empty(len(draws), dtype=torch.long, device=device)
        if greedy:
            index = make_row_index(greedy, device)
            tokens[index] = logits[index].argmax(dim=-1)
    is_decided = torch.ones(len(draws), dtype=torch.bool, device=device)
    for rows in _split_rows(plain, device):
        index = make_row_index(rows, device)
        scores, inputs = _prepare(logits[index], best[index], [draws[row] for row in rows])
        tokens[index] = invert_cdf(scores.exp_(), inputs.uniform)
    for rows in _split_rows(truncated, device):
        index = make_row_index(rows, device)
        scores, inputs = _prepare(logits[index], best[index], [draws[row] for row in rows])
        tokens[index], is_decided[index] = draw_truncated(scores, inputs)
    return DrawnTokens(tokens.masked_fill_(~best.isfinite(), NO_TOKEN), is_decided)


def draw_undecided(
    drawn: DrawnTokens, logits: Tensor, draws: Sequence[Draw], undecided: Sequence[int]
) -> None:
    """Draw among all tokens for the undecided rows, into `drawn`."""
    index = make_row_index(undecided, logits.device)
    best = logits[index].amax(dim=-1)
    scores, inputs = _prepare(logits[index], best, [draws[row] for row in undecided])
    drawn.tokens[index] = draw_among_all(scores, scores.exp(), inputs)


def uniform(seed: int, position: int) -> float:
    """Return a uniform number in [0, 1), a deterministic function of seed and position.

    It has 24 bits, so that its product in float32 with a sum of probabilities stays below that sum.
    """
    key = f"{seed}:{position}".encode()
    return int.from_bytes(blake2b(key, digest_size=3).digest(), "big") / 2**24


def _read(drawn: DrawnTokens, raw: RawScores) -> tuple[list[int], list[int], Tensor]:
    """Return tokens, which are decided, and packed log probabilities, with a single copy.

    The copy is of int32, because floating point would round token ids.
    """
    packed = raw.pack(drawn.tokens)
    parts = drawn.tokens.int(), drawn.is_decided.int(), packed.flatten()
    numbers = read_back(torch.cat(parts))
    num_rows = len(drawn.tokens)
    tokens, is_decided = numbers[: 2 * num_rows].view(2, num_rows).tolist()
    return tokens, is_decided, numbers[2 * num_rows :].view(packed.shape)


def _group_by_kind(draws: Sequence[Draw]) -> tuple[list[int], list[int], list[int]]:
    """Return the rows that are greedy, those without truncation, and those with it."""
    greedy: list[int] = []
    plain: list[int] = []
    truncated: list[int] = []
    for row, request in enumerate(draws):
        kind = greedy if request.is_greedy else truncated if request.is_truncated else plain
        kind.append(row)
    return greedy, plain, truncated


def _split_rows(rows: Sequence[int], device: torch.device) -> Iterator[Sequence[int]]:
    """Yield the rows, a few at a time on a CPU, all at once on other devices."""
    size = max(1, len(rows)) if is_remote(device) else _CPU_ROWS
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _prepare(logits: Tensor, best: Tensor, draws: Sequence[Draw]) -> tuple[Tensor, SamplingInputs]:
    """Return scores [rows, vocab] whose highest is 0, and the inputs of sampling.

    `best` are the highest logits [rows].
    """
    vocab = logits.shape[1]
    rows = [
        (
            request.params.temperature,
            uniform(request.params.seed, request.position),
            min(request.params.top_k or vocab, vocab),
            request.params.top_p,
            request.params.min_p,
        )
        for request in draws
    ]
    columns = torch.tensor(list(zip(*rows, strict=True)), dtype=torch.float32)
    inputs = SamplingInputs(*upload(columns, logits.device)[:, :, None])
    return (logits - best[:, None]).div_(inputs.temperature), inputs
