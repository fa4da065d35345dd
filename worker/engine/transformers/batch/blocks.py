"""The blocks of the paged cache: who holds which, and which prefixes can be found again.

Bookkeeping only: the tensors that the block numbers address belong to `attention`.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

from worker.engine.sequence import Sequence

_DIGEST_BYTES = 16


class BlockPool:
    """Reference-counted blocks; full ones stay findable by content until they are needed.

    A block is free, idle (no holder, content kept, evicted least recently used first) or held by
    at least one sequence. Only this class changes a sequence's `blocks`.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.block_size = block_size
        # Last in, first out: memory that was never touched stays untouched.
        self._free = list(range(num_blocks - 1, -1, -1))
        self._num_holders = [0] * num_blocks
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._block_of: dict[bytes, int] = {}
        self._digest_of: dict[int, bytes] = {}

    @property
    def num_available(self) -> int:
        """Blocks that no sequence holds."""
        return len(self._free) + len(self._idle)

    def grow(self, sequence: Sequence, num_tokens: int, *, spare: int = 0) -> bool:
        """Give the sequence blocks for `num_tokens`, all or none, leaving `spare` available."""
        missing = -(-num_tokens // self.block_size) - len(sequence.blocks)
        if missing <= 0:
            return True
        if missing + spare > self.num_available:
            return False
        sequence.blocks.extend(self._take() for _ in range(missing))
        return True

    def adopt_prefix(self, sequence: Sequence) -> None:
        """Let a sequence without blocks share those that hold the start of its tokens.

        At least one token stays to be computed: its logits give the next one.
        """
        for index in range(self._num_shareable(sequence)):
            block = self._block_of.get(self._digest(sequence, index))
            if block is None:
                break
            self._idle.pop(block, None)
            self._num_holders[block] += 1
            sequence.blocks.append(block)
        sequence.num_published = len(sequence.blocks)
        sequence.num_computed = len(sequence.blocks) * self.block_size

    def is_being_computed(self, sequence: Sequence, running: Iterable[Sequence]) -> bool:
        """Whether one of `running` is about to publish the next block that the sequence lacks and
        could share."""
        index = len(sequence.blocks)
        return index < self._num_shareable(sequence) and any(
            other.num_published <= index < len(other.tokens) // self.block_size
            and self._digest(other, index) == self._digest(sequence, index)
            for other in running
        )

    def publish(self, sequence: Sequence) -> None:
        """Make the blocks that the sequence has fully computed findable by their content."""
        for index in range(sequence.num_published, sequence.num_computed // self.block_size):
            digest, block = self._digest(sequence, index), sequence.blocks[index]
            if digest not in self._block_of:
                self._block_of[digest] = block
                self._digest_of[block] = digest
            sequence.num_published = index + 1

    def release(self, sequence: Sequence) -> None:
        """Take all blocks back; the sequence has nothing computed afterwards."""
        # Last block first, so that the end of a prefix is evicted before its start.
        for block in reversed(sequence.blocks):
            self._num_holders[block] -= 1
            if self._num_holders[block] == 0:
                self._retire(block)
        sequence.blocks.clear()
        sequence.num_computed = sequence.num_published = 0

    def _num_shareable(self, sequence: Sequence) -> int:
        return (len(sequence.tokens) - 1) // self.block_size

    def _retire(self, block: int) -> None:
        if block in self._digest_of:
            self._idle[block] = None
        else:
            self._free.append(block)

    def _take(self) -> int:
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            del self._block_of[self._digest_of.pop(block)]
        self._num_holders[block] = 1
        return block

    def _digest(self, sequence: Sequence, index: int) -> bytes:
        """Digest of the sequence's tokens up to the end of block `index`, chained and salted.

        All images have the same tokens, so theirs are told apart by the images' own digests.
        """
        digests = sequence.digests
        while len(digests) <= index:
            start = len(digests) * self.block_size
            end = start + self.block_size
            tokens = array("I", sequence.tokens[start:end])
            parent = digests[-1] if digests else sequence.cache_salt
            chained = len(parent).to_bytes(4, "big") + parent + tokens.tobytes()
            for image in sequence.images:
                if image.rows_within(start, end):
                    chained += image.digest
            digests.append(blake2b(chained, digest_size=_DIGEST_BYTES).digest())
        return digests[index]
