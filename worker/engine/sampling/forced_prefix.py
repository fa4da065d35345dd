"""Forced prefixes: given tokens that a sequence begins with if the model nearly chooses the first.

Decided once, at the first token: if its logit is within a threshold of the highest, the sequence
begins with all tokens of the prefix. The decision is derived from the generated tokens, so that it
is the same after a resume. Independent of the meaning of the tokens.
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from worker.engine.interface import ForcedPrefix
from worker.engine.sampling.device_copy import upload


def find_next_token(forced_prefix: ForcedPrefix | None, generated: Sequence[int]) -> int | None:
    """Return the next token of the prefix, or None if it is complete or was not chosen."""
    if forced_prefix is None or len(generated) >= len(forced_prefix.token_ids):
        return None
    if tuple(generated) != tuple(forced_prefix.token_ids[: len(generated)]):
        return None
    return forced_prefix.token_ids[len(generated)]


def apply_forced_prefixes(
    logits: Tensor, states: Sequence[tuple[ForcedPrefix | None, Sequence[int]]]
) -> None:
    """Restrict rows of the logits [rows, vocab] to the next token of their forced prefix, in place.

    `states` has a prefix and the generated tokens for each row. The device decides whether a row
    follows its prefix, without a copy to the host. A threshold of -inf forbids that token instead.
    """
    preferred: list[tuple[int, int]] = []
    forbidden: list[tuple[int, int]] = []
    terms: list[tuple[float, bool]] = []
    for row, (forced_prefix, generated) in enumerate(states):
        token_id = find_next_token(forced_prefix, generated)
        if forced_prefix is None or token_id is None:
            continue
        if forced_prefix.threshold == -inf:
            forbidden.append((row, token_id))
        else:
            preferred.append((row, token_id))
            terms.append((forced_prefix.threshold, bool(generated)))
    if forbidden:
        rows, ids = _upload_columns(forbidden, logits.device)
        logits[rows, ids] = -inf
    if preferred:
        rows, ids = _upload_columns(preferred, logits.device)
        _force_tokens(logits, rows, ids, *_upload_columns(terms, logits.device))


def _force_tokens(
    logits: Tensor, rows: Tensor, ids: Tensor, thresholds: Tensor, has_begun: Tensor
) -> None:
    """Allow only the given token in rows where it is within its threshold or that have begun."""
    scores = logits[rows]
    chosen = scores.gather(1, ids[:, None])[:, 0]
    is_forced = has_begun.bool() | (chosen + thresholds >= scores.amax(-1))
    forced = torch.full_like(scores, -inf)
    forced.scatter_(1, ids[:, None], chosen.masked_fill(~chosen.isfinite(), 0.0)[:, None])
    logits[rows] = torch.where(is_forced[:, None], forced, scores)


def _upload_columns(
    pairs: Sequence[tuple[float, float]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the first and the second elements of the pairs, on the device."""
    first, second = upload(torch.tensor(pairs).T.contiguous(), device)
    return first, second
