"""Where an answer begins: whether it is to begin with given tokens, by a margin.

Decided once, at the first token: if its logit comes within the margin of the highest, the sequence
begins with all of the given tokens. Which way it went is read off the tokens that there are, so
that it is the same after a resume. Knows nothing of what the tokens mean.
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from worker.engine.interface import Opening


def next_of(opening: Opening | None, generated: Sequence[int]) -> int | None:
    """The token that follows if the sequence begins as given; None where that is over."""
    if opening is None or len(generated) >= len(opening.token_ids):
        return None
    if tuple(generated) != tuple(opening.token_ids[: len(generated)]):
        return None
    return opening.token_ids[len(generated)]


def prefer(logits: Tensor, openings: Sequence[tuple[Opening | None, Sequence[int]]]) -> None:
    """Leave, in the logits [rows, vocab] of rows that begin as given, that one token."""
    for row, (opening, generated) in enumerate(openings):
        token_id = next_of(opening, generated)
        if opening is None or token_id is None:
            continue
        if opening.margin == -inf:
            logits[row, token_id] = -torch.inf
            continue
        logit = logits[row, token_id].clone()
        if generated or bool(logit + opening.margin >= logits[row].max()):
            logits[row] = -torch.inf
            logits[row, token_id] = logit if logit.isfinite() else 0.0
