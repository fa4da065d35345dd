"""Log probabilities as the model gave them, of the rows that ask for them.

Knows logits and counts; nothing of sequences. A row that does not ask costs nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.interface import LOGPROB_FLOOR, Logprobs
from worker.engine.sampling.device_copy import rows_at


class RawScores:
    """What the network said, kept from before penalties and masks change the logits in place."""

    def __init__(self, logits: Tensor, num_top: Sequence[int | None]) -> None:
        """`num_top` has an entry for each row of `logits` [rows, vocab]; None does not ask."""
        self._num_top = num_top
        self._rows = [row for row, count in enumerate(num_top) if count is not None]
        if not self._rows:
            return
        self._at = rows_at(self._rows, logits.device)
        scores = logits[self._at]
        self._values = (scores - scores.logsumexp(-1, keepdim=True)).clamp_(min=LOGPROB_FLOOR)
        most = min(max(num_top[row] or 0 for row in self._rows), logits.shape[1])
        self._best = self._values.topk(most, dim=-1)

    def pack(self, tokens: Tensor) -> Tensor:
        """Return, on the device, int32 of `tokens` [rows] and the likeliest of the rows that ask.

        A row of it has the value of its token, the ids of the likeliest and their values; values
        as the bits of float32. A token below 0 stands for none.
        """
        if not self._rows:
            return torch.empty((0, 1), dtype=torch.int32, device=tokens.device)
        drawn = self._values.gather(1, tokens[self._at].clamp(min=0)[:, None])
        parts = (drawn.view(torch.int32), self._best.indices.int(), self._best.values)
        return torch.cat([part.view(torch.int32) for part in parts], dim=1)

    def unpack(self, packed: Tensor, tokens: Sequence[int | None]) -> list[Logprobs | None]:
        """Return those in each row of what `pack` gave for `tokens`, on the host; None for rows
        without a token or that do not ask."""
        result: list[Logprobs | None] = [None] * len(tokens)
        if not self._rows:
            return result
        most = packed.shape[1] // 2
        values = packed.view(torch.float32)
        columns = values[:, 0], packed[:, 1 : 1 + most], values[:, 1 + most :]
        each_row = zip(self._rows, *(column.tolist() for column in columns), strict=True)
        for row, value, top_ids, top_values in each_row:
            count = self._num_top[row]
            top = tuple(zip(top_ids[:count], top_values[:count], strict=True))
            result[row] = None if tokens[row] is None else Logprobs(value, top)
        return result
