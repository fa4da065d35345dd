"""What a sequence's own tokens and its `logit_bias` do to its logits.

Sparse: a row pays for the tokens that occur in it, and a row that asks for nothing pays nothing.
The state follows from prompt, generated tokens and parameters, so that it is the same after a
resume. Knows nothing of batches, grammars or the network.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from worker.engine.interface import GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sampling.device_copy import upload
from worker.engine.sampling.dry import DryMatcher

# Far beyond any logit, and far enough from the end of float32 to be divided by a temperature.
_MAX_LOGIT = 1e30

_NO_TOKENS: Sequence[int] = ()


class Change(NamedTuple):
    """New logits of some tokens of one row: add to them, then divide or multiply by a factor."""

    token_ids: np.ndarray
    added: np.ndarray
    factors: np.ndarray


class Penalties:
    """Counts the tokens of one sequence, as far as its parameters ask for it."""

    @classmethod
    def of(cls, request: GenerationRequest) -> "Penalties | None":
        """Return the penalties that a request asks for, if any."""
        params = request.params
        asks = params.logit_bias or params.dry is not None or _counts(params)
        return cls(request) if asks else None

    def __init__(self, request: GenerationRequest) -> None:
        params = request.params
        self._params = params
        self._counts_tokens = _counts(params)
        prompt = request.prompt if params.repetition_penalty != 1 else _NO_TOKENS
        generated = request.generated if self._counts_tokens else _NO_TOKENS
        ids = list(dict.fromkeys([*params.logit_bias, *prompt, *generated]))
        self._slots = {token_id: slot for slot, token_id in enumerate(ids)}
        self._ids = np.array(ids, dtype=np.int64)
        self._biases = np.array([params.logit_bias.get(each, 0.0) for each in ids])
        seen = {*prompt, *generated}
        self._is_seen = np.array([each in seen for each in ids], dtype=np.bool_)
        slots = [self._slots[each] for each in generated]
        self._counts = np.bincount(np.array(slots, dtype=np.int64), minlength=len(ids))
        tokens = [*request.prompt, *request.generated]
        self._dry = DryMatcher(params.dry, tokens) if params.dry is not None else None

    def advance(self, token_id: int) -> None:
        """Take a token that was generated."""
        if self._dry is not None:
            self._dry.advance(token_id)
        if self._counts_tokens:
            self._count(token_id)

    def _count(self, token_id: int) -> None:
        slot = self._slots.setdefault(token_id, len(self._ids))
        if slot == len(self._ids):
            self._ids = np.append(self._ids, token_id)
            self._biases = np.append(self._biases, 0.0)
            self._is_seen = np.append(self._is_seen, True)
            self._counts = np.append(self._counts, 0)
        self._is_seen[slot] = True
        self._counts[slot] += 1

    def change(self) -> Change:
        """Return what bias and counts do to the logits of the next token."""
        params = self._params
        added = self._biases - self._counts * params.frequency_penalty
        added -= (self._counts > 0) * params.presence_penalty
        return Change(self._ids, added, np.where(self._is_seen, params.repetition_penalty, 1.0))

    def dry_change(self) -> Change | None:
        """Return what DRY does to the logits that `change` left, if anything."""
        if self._dry is None:
            return None
        ids, amounts = self._dry.penalties()
        return Change(ids, -amounts, np.ones(len(ids))) if len(ids) else None


def penalise(logits: Tensor, penalties: Sequence[Penalties | None]) -> None:
    """Change the logits [rows, vocab] in place in the rows that have penalties."""
    asking = [(row, each) for row, each in enumerate(penalties) if each is not None]
    if not asking:
        return
    _apply(logits, [(row, each.change()) for row, each in asking])
    dry = [(row, each.dry_change()) for row, each in asking]
    if changes := [(row, change) for row, change in dry if change is not None]:
        _apply(logits, changes)


def _apply(logits: Tensor, changes: Sequence[tuple[int, Change]]) -> None:
    """Gather the logits concerned, change them in float64, and put them back.

    What is infinite stays so: a token that a grammar forbids is not to be had at any price.
    """
    sizes = [len(change.token_ids) for _, change in changes]
    places = np.repeat([row for row, _ in changes], sizes)
    rows = upload(torch.from_numpy(places), logits.device)
    ids, added, factors = (
        upload(torch.from_numpy(np.concatenate(column)), logits.device)
        for column in zip(*(change for _, change in changes), strict=True)
    )
    before = logits[rows, ids]
    after = before.double() + added
    after = torch.where(after > 0, after / factors, after * factors)
    after = after.clamp(-_MAX_LOGIT, _MAX_LOGIT).to(logits.dtype)
    logits[rows, ids] = torch.where(before.isinf(), before, after)


def _counts(params: SamplingParams) -> bool:
    return (
        params.frequency_penalty != 0
        or params.presence_penalty != 0
        or params.repetition_penalty != 1
    )
