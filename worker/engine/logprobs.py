"""Log probabilities as the model gave them, of the rows that ask for them.

Knows logits and counts; nothing of sequences. A row that does not ask costs nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.interface import LOGPROB_FLOOR, Logprobs


class RawScores:
    """What the network said, kept from before penalties and masks change the logits in place."""

    def __init__(self, logits: Tensor, num_top: Sequence[int | None]) -> None:
        """`num_top` has an entry for each row of `logits` [rows, vocab]; None does not ask."""
        self._num_top = num_top
        self._rows = [row for row, count in enumerate(num_top) if count is not None]
        self._scores = logits[self._rows] if self._rows else None

    def logprobs(self, tokens: Sequence[int | None]) -> list[Logprobs | None]:
        """Return those of the token drawn in each row; None for rows without or that do not ask."""
        result: list[Logprobs | None] = [None] * len(tokens)
        if self._scores is None:
            return result
        values = self._scores - self._scores.logsumexp(-1, keepdim=True)
        values.clamp_(min=LOGPROB_FLOOR)
        ids = torch.tensor([[tokens[row] or 0] for row in self._rows], device=values.device)
        drawn = values.gather(1, ids)[:, 0].tolist()
        most = min(max(self._num_top[row] or 0 for row in self._rows), values.shape[1])
        best = values.topk(most, dim=-1)
        tops = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        for row, value, (top_ids, top_values) in zip(self._rows, drawn, tops, strict=True):
            count = self._num_top[row]
            top = tuple(zip(top_ids[:count], top_values[:count], strict=True))
            result[row] = None if tokens[row] is None else Logprobs(value, top)
        return result
