"""Sharing of a step's prompt tokens among the fairness keys of a batch."""

from collections.abc import Sequence as Many

from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.chunk import Chunk


class PrefillTurns:
    """Max-min fair shares of the token budget for prompts, one for each fairness key.

    A key that needs less than its share leaves the rest to the others. Within a key, prompts are
    computed in order of admission. If there are more keys than blocks in the budget, those wait
    that were served last.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._served_at: dict[str, int] = {}
        """Number of the step in which a key was last served, for keys that had prompts."""
        self._num_steps = 0

    def share(self, sequences: Many[Sequence], budget: int) -> list[Chunk]:
        """Return the chunks of prompts for a step; together they have no more than the budget."""
        by_key: dict[str, list[Sequence]] = {}
        for sequence in sequences:
            by_key.setdefault(sequence.fairness_key, []).append(sequence)
        chunks: list[Chunk] = []
        keys = self._next_keys(list(by_key), max(1, budget // self._block_size))
        # The least need first, so that what it leaves is shared by all others.
        keys.sort(key=lambda key: sum(each.num_pending for each in by_key[key]))
        for num_before, key in enumerate(keys):
            taken = _take(by_key[key], budget // (len(keys) - num_before))
            budget -= sum(chunk.num_tokens for chunk in taken)
            chunks += taken
        return chunks

    def _next_keys(self, keys: list[str], limit: int) -> list[str]:
        """Return the keys to serve in this step: those that have waited for longest."""
        self._num_steps += 1
        self._served_at = {key: self._served_at.get(key, 0) for key in keys}
        chosen = sorted(keys, key=lambda key: self._served_at[key])[:limit]
        self._served_at.update(dict.fromkeys(chosen, self._num_steps))
        return chosen


def _take(sequences: list[Sequence], budget: int) -> list[Chunk]:
    chunks = []
    for sequence in sequences:
        if budget <= 0:
            break
        num_tokens = min(budget, sequence.num_until_stop)
        chunks.append(Chunk(sequence, _whole_images(sequence, num_tokens)))
        budget -= chunks[-1].num_tokens
    return chunks


def _whole_images(sequence: Sequence, num_tokens: int) -> int:
    """Return a number of tokens that cuts no image which one step must compute.

    The chunk ends before such an image or, if it would be empty, after it, whatever the budget.
    """
    start, end = sequence.num_computed, sequence.num_computed + num_tokens
    for image in sequence.images:
        if image.is_whole and image.is_cut(end):
            end = image.positions[0] if image.positions[0] > start else image.positions[-1] + 1
    return end - start
