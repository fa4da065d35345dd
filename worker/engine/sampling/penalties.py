"""Penalties on tokens that have occurred, and `logit_bias`, applied to logits.

Sparse: the cost of a row is proportional to the tokens that occur in it, and rows without penalties
cost nothing. The state follows from prompt, generated tokens and parameters, so that it is the same
after a resume. Independent of batches, grammars and the network.
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

# Far above any logit, and small enough that division by a temperature stays within float32.
_MAX_LOGIT = 1e30

_NO_TOKENS: Sequence[int] = ()


class Change(NamedTuple):
    """Change to logits of one row: an addend for each token, then a penalty factor.

    Positive logits are divided by the factor, negative ones multiplied.
    """

    token_ids: np.ndarray
    added: np.ndarray
    factors: np.ndarray


class Penalties:
    """Penalties of one sequence, with the token counts that its parameters need."""

    @classmethod
    def from_request(cls, request: GenerationRequest) -> "Penalties | None":
        """Return the penalties of a request, or None if it has none."""
        params = request.params
        is_needed = params.logit_bias or params.dry is not None or _needs_counts(params)
        return cls(request) if is_needed else None

    def __init__(self, request: GenerationRequest) -> None:
        params = request.params
        self._params = params
        self._needs_counts = _needs_counts(params)
        prompt = request.prompt if params.repetition_penalty != 1 else _NO_TOKENS
        generated = request.generated if self._needs_counts else _NO_TOKENS
        ids = list(dict.fromkeys([*params.logit_bias, *prompt, *generated]))
        self._slots = {token_id: slot for slot, token_id in enumerate(ids)}
        self._ids = np.array(ids, dtype=np.int64)
        self._biases = np.array([params.logit_bias.get(token_id, 0.0) for token_id in ids])
        seen = {*prompt, *generated}
        self._is_seen = np.array([token_id in seen for token_id in ids], dtype=np.bool_)
        slots = [self._slots[token_id] for token_id in generated]
        self._counts = np.bincount(np.array(slots, dtype=np.int64), minlength=len(ids))
        tokens = [*request.prompt, *request.generated]
        self._dry = DryMatcher(params.dry, tokens) if params.dry is not None else None

    def advance(self, token_id: int) -> None:
        """Append a generated token."""
        if self._dry is not None:
            self._dry.advance(token_id)
        if self._needs_counts:
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

    def compute_change(self) -> Change:
        """Return the change of the next token's logits by bias and counts."""
        params = self._params
        added = self._biases - self._counts * params.frequency_penalty
        added -= (self._counts > 0) * params.presence_penalty
        return Change(self._ids, added, np.where(self._is_seen, params.repetition_penalty, 1.0))

    def compute_dry_change(self) -> Change | None:
        """Return the change by DRY, to be applied after `compute_change`, or None."""
        if self._dry is None:
            return None
        ids, amounts = self._dry.penalties()
        return Change(ids, -amounts, np.ones(len(ids))) if len(ids) else None


def penalise(logits: Tensor, penalties: Sequence[Penalties | None]) -> None:
    """Apply the penalties to the logits [rows, vocab] in place; None leaves a row unchanged."""
    penalised = [(row, penalty) for row, penalty in enumerate(penalties) if penalty is not None]
    if not penalised:
        return
    _apply(logits, [(row, penalty.compute_change()) for row, penalty in penalised])
    dry = [(row, penalty.compute_dry_change()) for row, penalty in penalised]
    if changes := [(row, change) for row, change in dry if change is not None]:
        _apply(logits, changes)


def _apply(logits: Tensor, changes: Sequence[tuple[int, Change]]) -> None:
    """Gather the affected logits, change them in float64, and scatter them back.

    Infinite logits stay infinite: no penalty or bias makes a forbidden token possible.
    """
    sizes = [len(change.token_ids) for _, change in changes]
    owners = np.repeat([row for row, _ in changes], sizes)
    rows = upload(torch.from_numpy(owners), logits.device)
    ids, added, factors = (
        upload(torch.from_numpy(np.concatenate(column)), logits.device)
        for column in zip(*(change for _, change in changes), strict=True)
    )
    before = logits[rows, ids]
    after = before.double() + added
    after = torch.where(after > 0, after / factors, after * factors)
    after = after.clamp(-_MAX_LOGIT, _MAX_LOGIT).to(logits.dtype)
    logits[rows, ids] = torch.where(before.isinf(), before, after)


def _needs_counts(params: SamplingParams) -> bool:
    return (
        params.frequency_penalty != 0
        or params.presence_penalty != 0
        or params.repetition_penalty != 1
    )
