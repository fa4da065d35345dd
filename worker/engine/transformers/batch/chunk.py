"""Chunk of a sequence: the tokens of it that one step computes."""

from dataclasses import dataclass

from worker.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `num_tokens` uncomputed tokens of a sequence."""

    sequence: Sequence
    num_tokens: int

    @property
    def is_last(self) -> bool:
        """Return True if no token is pending after this chunk, so that the next can be sampled."""
        return self.num_tokens == self.sequence.num_pending


def due_sequences(batch: list[Chunk]) -> list[Sequence]:
    """Return the sequences whose next token is sampled after this batch, in batch order."""
    return [chunk.sequence for chunk in batch if chunk.is_last]
