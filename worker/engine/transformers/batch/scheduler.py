"""Which sequences run in the next step, and how many tokens of each.

Knows blocks and token counts; nothing of tensors, sampling or threads.
"""

from collections import deque

from worker.engine.sequence import Sequence, SequenceStatus
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk


class Scheduler:
    """Decodes first, then chunks of prompts under the token budget; short of blocks, the youngest
    sequence goes back to the head of the queue and is computed again later.

    A prompt is computed once, however many sequences begin with it at the same time: the first is
    admitted, the others wait until they can share its blocks. All but one of them compute no more
    than their last block. So the choices of one response need no notion of a group here.
    """

    def __init__(self, pool: BlockPool, *, max_sequences: int, max_batch_tokens: int) -> None:
        self._pool = pool
        self._max_sequences = max_sequences
        self._max_batch_tokens = max_batch_tokens
        self._room = max_sequences
        self._budget = max_batch_tokens
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In order of admission, the youngest last."""

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; it must fit the pool when it runs alone."""
        self.waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence, wherever it is, and free its blocks."""
        if sequence.status is SequenceStatus.RUNNING:
            self.running.remove(sequence)
            self._room = min(self._room + 1, self._max_sequences)
            self._budget = self._max_batch_tokens
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._pool.release(sequence)
        sequence.status = SequenceStatus.FINISHED

    def schedule(self) -> list[Chunk]:
        """Return the chunks of the next step; empty only if there is no sequence."""
        self._grow_running()
        self._admit()
        return self._fill_budget()

    def shed(self) -> bool:
        """Run less at a time, because a step did not fit into the device's memory: do without the
        youngest sequence, or, where one is alone, take fewer of its tokens. False if that is all.

        A sequence that ends makes room for another beside its own, and for all tokens of a step.
        """
        if len(self.running) > 1:
            self._preempt_youngest()
            self._room = len(self.running)
            return True
        self._budget //= 2
        return self._budget >= self._pool.block_size

    def advance(self, batch: list[Chunk]) -> None:
        """Record that the batch is computed."""
        for chunk in batch:
            chunk.sequence.num_computed += chunk.num_tokens
            self._pool.publish(chunk.sequence)

    def _grow_running(self) -> None:
        for sequence in list(self.running):
            while sequence.status is SequenceStatus.RUNNING:
                if self._pool.grow(sequence, len(sequence.tokens)):
                    break
                self._preempt_youngest()

    def _preempt_youngest(self) -> None:
        sequence = self.running.pop()
        self._pool.release(sequence)
        sequence.status = SequenceStatus.WAITING
        self.waiting.appendleft(sequence)

    def _admit(self) -> None:
        for sequence in list(self.waiting):
            if len(self.running) >= self._room:
                return
            self._pool.adopt_prefix(sequence)
            if self._pool.is_being_computed(sequence, self.running):
                self._pool.release(sequence)
                continue
            # A block to spare for each running sequence: else the newcomer is soon preempted.
            if not self._pool.grow(sequence, len(sequence.tokens), spare=len(self.running)):
                self._pool.release(sequence)
                return
            if sequence.num_cached is None:
                sequence.num_cached = min(sequence.num_computed, sequence.num_prompt)
            sequence.status = SequenceStatus.RUNNING
            self.waiting.remove(sequence)
            self.running.append(sequence)

    def _fill_budget(self) -> list[Chunk]:
        decodes = [Chunk(sequence, 1) for sequence in self.running if sequence.num_pending == 1]
        # A batch full of decodes still lets the oldest prompt creep on.
        budget = max(self._budget - len(decodes), self._pool.block_size)
        prefills = []
        for sequence in self.running:
            if sequence.num_pending > 1 and budget > 0:
                prefills.append(Chunk(sequence, min(budget, sequence.num_pending)))
                budget -= prefills[-1].num_tokens
        return decodes + prefills
