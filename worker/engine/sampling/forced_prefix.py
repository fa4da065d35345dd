"""Where an answer begins: whether it is to begin with given tokens, by a margin.

Decided once, at the first token: if its logit comes within the margin of the highest, the sequence
begins with all of the given tokens. Which way it went is read off the tokens that there are, so
that it is the same after a resume. Knows nothing of what the tokens mean.
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from worker.engine.interface import ForcedPrefix
from worker.engine.sampling.device_copy import upload


def next_of(opening: ForcedPrefix | None, generated: Sequence[int]) -> int | None:
    """The token that follows if the sequence begins as given; None where that is over."""
    if opening is None or len(generated) >= len(opening.token_ids):
        return None
    if tuple(generated) != tuple(opening.token_ids[: len(generated)]):
        return None
    return opening.token_ids[len(generated)]


def prefer(logits: Tensor, openings: Sequence[tuple[ForcedPrefix | None, Sequence[int]]]) -> None:
    """Leave, in the logits [rows, vocab] of rows that begin as given, that one token.

    Which rows do is decided where the logits are; the host does not learn it here.
    """
    wanted: list[tuple[int, int]] = []
    unwanted: list[tuple[int, int]] = []
    terms: list[tuple[float, bool]] = []
    for row, (opening, generated) in enumerate(openings):
        token_id = next_of(opening, generated)
        if opening is None or token_id is None:
            continue
        if opening.margin == -inf:
            unwanted.append((row, token_id))
        else:
            wanted.append((row, token_id))
            terms.append((opening.margin, bool(generated)))
    if unwanted:
        rows, ids = _columns(unwanted, logits.device)
        logits[rows, ids] = -inf
    if wanted:
        _begin(logits, *_columns(wanted, logits.device), *_columns(terms, logits.device))


def _begin(logits: Tensor, rows: Tensor, ids: Tensor, margins: Tensor, has_begun: Tensor) -> None:
    """Leave the wanted token alone where it comes within its margin or the row has begun so."""
    scores = logits[rows]
    wanted = scores.gather(1, ids[:, None])[:, 0]
    begins = has_begun.bool() | (wanted + margins >= scores.amax(-1))
    alone = torch.full_like(scores, -inf)
    alone.scatter_(1, ids[:, None], wanted.masked_fill(~wanted.isfinite(), 0.0)[:, None])
    logits[rows] = torch.where(begins[:, None], alone, scores)


def _columns(pairs: Sequence[tuple[float, float]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first and the second of each pair, on the device."""
    first, second = upload(torch.tensor(pairs).T.contiguous(), device)
    return first, second
