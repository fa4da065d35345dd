"""Scheduler: selects the sequences of the next step, and the number of tokens of each.

Works with blocks and token counts; independent of tensors, sampling and threads.
"""

from collections import deque

from worker.engine.sequence import Sequence, SequenceStatus
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.prefill import PrefillTurns


class Scheduler:
    """Scheduler with continuous batching, chunked prefill and preemption by recomputation.

    A step has all decodes, then chunks of prompts up to the token budget, which is shared among the
    fairness keys of the requests. If blocks run out, the youngest sequence returns to the head of
    the queue and is computed again later.

    A prompt shared by several sequences is computed once: the first is admitted, the others wait
    until they can share its blocks, and then compute only their last block. So the choices of one
    response need no grouping here.
    """

    def __init__(
        self,
        pool: BlockPool,
        *,
        max_sequences: int,
        max_batch_tokens: int,
        original_length: int | None = None,
    ) -> None:
        """Create a scheduler; `original_length` is that of the forward pass."""
        self._pool = pool
        self._original_length = original_length
        self._max_sequences = max_sequences
        self._max_batch_tokens = max_batch_tokens
        self._max_running = max_sequences
        self._token_budget = max_batch_tokens
        self._prefill_turns = PrefillTurns(pool.block_size)
        self.waiting: deque[Sequence] = deque()
        """Queue of sequences not in the batch."""
        self.running: list[Sequence] = []
        """Sequences in the batch in order of admission, the youngest last."""

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence, which must fit into the pool when it runs alone."""
        sequence.has_long_positions = self._is_long(sequence)
        self.waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Remove a sequence, waiting or running, and free its blocks."""
        if sequence.status is SequenceStatus.RUNNING:
            self.running.remove(sequence)
            self._max_running = min(self._max_running + 1, self._max_sequences)
            self._token_budget = self._max_batch_tokens
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._pool.release(sequence)
        sequence.status = SequenceStatus.FINISHED

    def schedule(self) -> list[Chunk]:
        """Return the chunks of the next step; empty only if there is no sequence."""
        self._restart_outgrown()
        self._grow_running()
        self._admit()
        return self._fill_budget()

    def reduce_load(self) -> bool:
        """Make the next steps smaller, because one did not fit into the device's memory.

        Preempts the youngest sequence and lowers the limit on running sequences, or halves the
        token budget if only one is running. Returns False if the budget falls below a block.
        Whenever a sequence ends, the limit rises by one and the token budget is restored. If a
        failed step cannot be repeated, all sequences are computed again.
        """
        is_alone = len(self.running) <= 1
        if is_alone:
            self._token_budget //= 2
        else:
            self._preempt_youngest()
            self._max_running = len(self.running)
        if is_alone and self._token_budget < self._pool.block_size:
            return False
        while self.running and not self._pool.can_repeat_steps:
            self._preempt_youngest()
        return True

    def advance(self, batch: list[Chunk]) -> None:
        """Record that the batch has been computed, and publish its full blocks."""
        for chunk in batch:
            chunk.sequence.num_computed += chunk.num_tokens
            self._pool.publish(chunk.sequence)

    def _is_long(self, sequence: Sequence) -> bool:
        return self._original_length is not None and len(sequence.tokens) > self._original_length

    def _restart_outgrown(self) -> None:
        """Compute sequences anew that have become longer than the original length.

        All of their keys change with the rotary factors.
        """
        for sequence in self.running:
            if self._is_long(sequence) and not sequence.has_long_positions:
                self._pool.release(sequence)
                sequence.has_long_positions = True
                sequence.digests.clear()
                self._pool.adopt_prefix(sequence)

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
            if len(self.running) >= self._max_running:
                return
            self._pool.adopt_prefix(sequence)
            if self._pool.is_being_computed(sequence, self.running):
                self._pool.release(sequence)
                continue
            # Keep a spare block per running sequence: else the new one would soon be preempted.
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
        # At least a block, so that a batch full of decodes does not starve the oldest prompt.
        budget = max(self._token_budget - len(decodes), self._pool.block_size)
        prompts = [sequence for sequence in self.running if sequence.num_pending > 1]
        return decodes + self._prefill_turns.share(prompts, budget)
