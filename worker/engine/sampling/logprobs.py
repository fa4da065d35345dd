"""Log probabilities of the unmodified logits, for the rows that request them.

Independent of sequences. Rows that request none cost nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.interface import LOGPROB_FLOOR, Logprobs
from worker.engine.sampling.device_copy import make_row_index


class RawScores:
    """Log probabilities computed before penalties and masks change the logits in place."""

    def __init__(self, logits: Tensor, num_top: Sequence[int | None]) -> None:
        """Compute log probabilities of the rows of `logits` [rows, vocab] that request them.

        `num_top` has the number of alternatives for each row; None requests no log probabilities.
        """
        self._num_top = num_top
        self._rows = [row for row, count in enumerate(num_top) if count is not None]
        if not self._rows:
            return
        self._index = make_row_index(self._rows, logits.device)
        scores = logits[self._index]
        self._values = (scores - scores.logsumexp(-1, keepdim=True)).clamp_(min=LOGPROB_FLOOR)
        most = min(max(num_top[row] or 0 for row in self._rows), logits.shape[1])
        self._best = self._values.topk(most, dim=-1)

    def pack(self, tokens: Tensor) -> Tensor:
        """Return log probabilities of `tokens` [rows] and of the likeliest, packed as int32.

        The result, on the device, has one row for each row that requests them: the value of its
        token, the ids of the likeliest tokens and their values. Values are the bits of float32. A
        token below 0 means that none was drawn.
        """
        if not self._rows:
            return torch.empty((0, 1), dtype=torch.int32, device=tokens.device)
        drawn = self._values.gather(1, tokens[self._index].clamp(min=0)[:, None])
        parts = (drawn.view(torch.int32), self._best.indices.int(), self._best.values)
        return torch.cat([part.view(torch.int32) for part in parts], dim=1)

    def unpack(self, packed: Tensor, tokens: Sequence[int | None]) -> list[Logprobs | None]:
        """Return the log probabilities of each row from the result of `pack`, on the host.

        None for rows without a token and for rows that request none.
        """
        result: list[Logprobs | None] = [None] * len(tokens)
        if not self._rows:
            return result
        most = packed.shape[1] // 2
        values = packed.view(torch.float32)
        columns = values[:, 0], packed[:, 1 : 1 + most], values[:, 1 + most :]
        packed_rows = zip(self._rows, *(column.tolist() for column in columns), strict=True)
        for row, value, top_ids, top_values in packed_rows:
            count = self._num_top[row]
            top = tuple(zip(top_ids[:count], top_values[:count], strict=True))
            result[row] = None if tokens[row] is None else Logprobs(value, top)
        return result
