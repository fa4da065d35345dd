"""Quantiles of token distributions in descending order of probability, without a full sort.

Scores are assigned to buckets by their distance from the best. Running sums over the buckets show
in which one a cumulative mass ends; only the tokens of that bucket are sorted. Sums are exact up to
rounding.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# With a vocabulary of 50,000, a bucket then holds some tens of tokens. Scores more than 32 below
# the best have negligible mass and share the last bucket.
_BUCKETS_PER_UNIT = 64
_NUM_BUCKETS = 2048


class _Members(NamedTuple):
    """Tokens of one bucket per row, concatenated over rows, descending within each row."""

    rows: Tensor
    token_ids: Tensor
    sums: Tensor
    """Cumulative mass of the row, up to and including the token."""
    starts: Tensor
    """[rows]: index of the first token of each row."""
    sizes: Tensor
    """[rows]: number of tokens of each row."""


class Quantiles:
    """Distributions of some rows; masses are given and returned as columns [rows, 1]."""

    def __init__(self, scores: Tensor, weights: Tensor) -> None:
        """Sort the tokens into buckets.

        The highest of the `scores` [rows, vocab] is 0; `weights` are their exponentials.
        """
        self._weights = weights
        depths = (scores * -_BUCKETS_PER_UNIT).clamp_(max=_NUM_BUCKETS - 1)
        # Converted by way of int32 and stored as int16: torch converts and compares these fastest.
        numbers = depths.int()
        self._buckets = numbers.short()
        self._indices = numbers.long()
        self._sums = self._sum_up(weights)

    def mass_of_first(self, counts: Tensor) -> Tensor:
        """Return the mass of the `counts` likeliest tokens."""
        if bool((counts >= self._weights.shape[1]).all()):
            return self._sums[:, -1:]
        num_tokens = self._sum_up(torch.ones((), device=counts.device).expand_as(self._weights))
        buckets = torch.searchsorted(num_tokens, counts.double())
        members = self._members(buckets)
        offsets = (counts - _before(num_tokens, buckets))[:, 0].long() - 1
        places = members.starts + torch.minimum(offsets, members.sizes - 1)
        return self._or_all(buckets, members.sums[places])

    def mass_until(self, shares: Tensor) -> Tensor:
        """Return the mass up to and including the token that reaches a share, which is above 0."""
        buckets = torch.searchsorted(self._sums, shares)
        members = self._members(buckets)
        places = self._count(members, members.sums < shares[members.rows, 0])
        return self._or_all(buckets, members.sums[places])

    def mass_above(self, weights: Tensor) -> Tensor:
        """Return the mass of the tokens whose weight is at least `weights`."""
        if bool((weights == 0).all()):
            return self._sums[:, -1:]
        kept = self._weights * (self._weights >= weights)
        return kept.sum(-1, keepdim=True, dtype=torch.double)

    def token_at(self, shares: Tensor) -> Tensor:
        """Return the first token [rows] at which the running sum exceeds a share."""
        # Capped below the mass without the last bucket, so that the bucket found is not empty.
        limits = self._sums[:, -2:-1]
        shares = torch.minimum(shares, limits.nextafter(torch.zeros_like(limits)))
        members = self._members(torch.searchsorted(self._sums, shares, right=True))
        places = self._count(members, members.sums <= shares[members.rows, 0])
        return members.token_ids[places]

    def _sum_up(self, weights: Tensor) -> Tensor:
        shape = (len(weights), _NUM_BUCKETS)
        per_bucket = torch.zeros(shape, device=weights.device)
        return per_bucket.scatter_add_(1, self._indices, weights).double().cumsum(-1)

    def _or_all(self, buckets: Tensor, masses: Tensor) -> Tensor:
        """Return the masses, or the total mass where they end in the last bucket."""
        return torch.where(buckets >= _NUM_BUCKETS - 1, self._sums[:, -1:], masses[:, None])

    def _members(self, buckets: Tensor) -> _Members:
        # The last bucket may hold all tokens that a grammar forbids; its order is never needed.
        buckets = torch.where(buckets >= _NUM_BUCKETS - 1, 0, buckets)
        rows, ids = (self._buckets == buckets.short()).nonzero(as_tuple=True)
        weights = self._weights[rows, ids].double()
        order = weights.argsort(descending=True, stable=True)
        order = order[rows[order].argsort(stable=True)]
        sizes = rows.bincount(minlength=len(buckets))
        starts = sizes.cumsum(0) - sizes
        sums = weights[order].cumsum(0)
        offsets = _before(self._sums, buckets)[:, 0] - (sums[starts] - weights[order[starts]])
        return _Members(rows, ids[order], sums + offsets[rows], starts, sizes)

    @staticmethod
    def _count(members: _Members, is_passed: Tensor) -> Tensor:
        """Return the index of the first member per row that is not passed, or of its last."""
        num_passed = members.rows[is_passed].bincount(minlength=len(members.sizes))
        return members.starts + torch.minimum(num_passed, members.sizes - 1)


def _before(sums: Tensor, buckets: Tensor) -> Tensor:
    """Return the cumulative sum before one bucket of each row."""
    return torch.where(buckets > 0, sums.gather(1, (buckets - 1).clamp_(min=0)), 0.0)
