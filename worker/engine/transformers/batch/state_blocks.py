"""Blocks of networks whose mixers keep a state per sequence, and snapshots of states.

A state exists for the last computed token only, so that the blocks of a prefix are of use only with
the state at its end. Copies of states are kept at the ends of some blocks: of the last full block
of a prompt, of the latest full block of an answer, and where prompts were seen to part, also while
the first of them is being computed. They take the slots that no running sequence needs, the least
recently used first.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool

_LEAST_SHARED = 2
"""Fewest blocks that two sequences must share for one to wait for the other to compute them."""


class StateSlots(Protocol):
    """States of sequences, which the forward pass keeps."""

    num_slots: int
    """Number of sequences whose states it has room for, snapshots included."""
    reuses_answers: bool
    """False if the states after an answer differ from those after the same tokens in a prompt."""

    def copy(self, source: int, target: int) -> None:
        """Copy the states in one slot to another."""


class StateBlockPool(BlockPool):
    """Pool of blocks that also assigns slots for states, to sequences and to snapshots."""

    can_repeat_steps = False  # A step that failed has changed the states of some layers.

    def __init__(self, num_blocks: int, block_size: int, states: StateSlots) -> None:
        super().__init__(num_blocks, block_size)
        self._states = states
        self._free_slots = list(range(states.num_slots - 1, -1, -1))
        self._snapshots: OrderedDict[bytes, int] = OrderedDict()
        """Slots by the digest of all tokens before, the least recently used first."""

    def grow(self, sequence: Sequence, num_tokens: int, *, spare: int = 0) -> bool:
        """Allocate blocks for `num_tokens`, and a slot for the states; see `BlockPool`."""
        if sequence.state_slot is not None:
            return super().grow(sequence, num_tokens, spare=spare)
        if not (self._free_slots or self._snapshots):
            return False
        if not self._has_states_of_prefix(sequence):
            super().release(sequence)
        if not super().grow(sequence, num_tokens, spare=spare):
            return False
        sequence.state_slot = self._allocate_slot(sequence)
        return True

    def is_being_computed(self, sequence: Sequence, running: Iterable[Sequence]) -> bool:
        """Return True if one of `running` will stop where `sequence` can go on from its state.

        One that has yet to compute what both begin with is made to stop where they part.
        """
        running = list(running)
        shareable = range(sequence.num_computed + 1, len(sequence.tokens))
        return any(
            stop in shareable
            and self._digest_before(other, stop) == self._digest_before(sequence, stop)
            for other in running
            for stop in other.stops
            if stop > other.num_computed
        ) or self._stop_where_they_part(sequence, running)

    def publish(self, sequence: Sequence) -> None:
        """Add full blocks to the prefix cache, and a snapshot of the states if it may be of use."""
        super().publish(sequence)
        num_tokens = sequence.num_computed
        if num_tokens % self.block_size or not num_tokens:
            return
        digest = self._digest_before(sequence, num_tokens)
        if num_tokens in sequence.stops:
            self._keep(sequence, digest, replaced=None)
        elif not sequence.num_pending and self._states.reuses_answers:
            self._keep(sequence, digest, replaced=sequence.snapshot)
            sequence.snapshot = digest

    def release(self, sequence: Sequence) -> None:
        """Release blocks and slot of the sequence, and mark its tokens as not computed."""
        super().release(sequence)
        if sequence.state_slot is not None:
            self._free_slots.append(sequence.state_slot)
        sequence.state_slot = sequence.snapshot = None

    def _find_prefix(self, sequence: Sequence) -> list[int]:
        found = super()._find_prefix(sequence)
        length = len(found)
        while length and self._digest(sequence, length - 1) not in self._snapshots:
            length -= 1
        last = self._last_shareable(sequence)
        # What several prompts begin with is known by the blocks that one of them has left.
        ends = {min(len(found), last), last}
        sequence.stops = [end * self.block_size for end in sorted(ends) if end > length]
        return found[:length]

    def _last_shareable(self, sequence: Sequence) -> int:
        """Return the number of blocks after which another sequence can go on at most."""
        num_tokens = len(sequence.tokens) if self._states.reuses_answers else sequence.num_prompt
        # Two tokens are left: a single one would be computed as if it were generated.
        return (num_tokens - 2) // self.block_size

    def _stop_where_they_part(self, sequence: Sequence, running: list[Sequence]) -> bool:
        """Have one of `running` stop after most of what `sequence` shares; False if none can."""
        num_own = sequence.num_computed // self.block_size
        ends = [(self._num_shared(sequence, other), other) for other in running]
        end, chosen = max(ends, key=lambda pair: pair[0], default=(0, sequence))
        if end < num_own + _LEAST_SHARED:
            return False
        insort(chosen.stops, end * self.block_size)
        return True

    def _num_shared(self, sequence: Sequence, other: Sequence) -> int:
        """Return the blocks that both begin with; 0 if `other` has computed the last of them."""
        most = min(self._last_shareable(sequence), self._last_shareable(other))
        # Digests are chained: from the first that differs on, all do.
        end = bisect_left(
            range(most),
            True,
            key=lambda index: self._digest(sequence, index) != self._digest(other, index),
        )
        return end if end * self.block_size > other.num_computed else 0

    def _keep(self, sequence: Sequence, digest: bytes, *, replaced: bytes | None) -> None:
        """Copy the sequence's states to a snapshot, in the slot of the one replaced if any."""
        if digest in self._snapshots:
            self._snapshots.move_to_end(digest)
            return
        if replaced is not None and replaced in self._snapshots:
            slot = self._snapshots.pop(replaced)
        elif self._free_slots or self._snapshots:
            slot = self._take_slot()
        else:
            return
        assert sequence.state_slot is not None
        self._states.copy(sequence.state_slot, slot)
        self._snapshots[digest] = slot

    def _has_states_of_prefix(self, sequence: Sequence) -> bool:
        """Return False if the snapshot was overwritten that the adopted prefix ends with."""
        num_tokens = sequence.num_computed
        return not num_tokens or self._digest_before(sequence, num_tokens) in self._snapshots

    def _allocate_slot(self, sequence: Sequence) -> int:
        """Return a slot with the states after the sequence's prefix, if it has adopted one."""
        source = None
        if sequence.num_computed:
            prefix = self._digest_before(sequence, sequence.num_computed)
            self._snapshots.move_to_end(prefix)
            source = self._snapshots[prefix]
        slot = self._take_slot()
        # The last snapshot may have been that of the prefix: then its slot is taken over.
        if source is not None and source != slot:
            self._states.copy(source, slot)
        return slot

    def _take_slot(self) -> int:
        """Return a free slot, or that of the snapshot used least recently; there must be one."""
        if self._free_slots:
            return self._free_slots.pop()
        _, slot = self._snapshots.popitem(last=False)
        return slot

    def _digest_before(self, sequence: Sequence, num_tokens: int) -> bytes:
        """Return the digest of the sequence's first tokens, a number of whole blocks."""
        return self._digest(sequence, num_tokens // self.block_size - 1)


def make_block_pool(num_blocks: int, block_size: int, states: StateSlots | None) -> BlockPool:
    """Return the pool for a forward pass; `states` is None if its network keeps none."""
    if states is None:
        return BlockPool(num_blocks, block_size)
    return StateBlockPool(num_blocks, block_size, states)
