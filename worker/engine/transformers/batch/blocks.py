"""Blocks of the paged KV cache: allocation, reference counts and the prefix cache.

Bookkeeping only: the tensors that the block numbers address belong to the forward pass.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

from worker.engine.sequence import Sequence

_DIGEST_BYTES = 16


class BlockPool:
    """Pool of reference-counted blocks with a prefix cache.

    A block is free, idle (without holder, but cached by content until evicted, least recently used
    first) or held by at least one sequence. Only this class changes a sequence's `blocks`.
    """

    can_repeat_steps = True
    """True if a step that failed halfway can be repeated: it writes the same keys again."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.block_size = block_size
        # Last in, first out, so that memory is not touched before it is needed.
        self._free = list(range(num_blocks - 1, -1, -1))
        self._num_holders = [0] * num_blocks
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._blocks_by_digest: dict[bytes, int] = {}
        self._digests_by_block: dict[int, bytes] = {}

    @property
    def num_available(self) -> int:
        """Number of blocks that no sequence holds."""
        return len(self._free) + len(self._idle)

    def grow(self, sequence: Sequence, num_tokens: int, *, spare: int = 0) -> bool:
        """Allocate blocks for `num_tokens`, all or none, leaving `spare` blocks available.

        Return False if there are not enough.
        """
        missing = -(-num_tokens // self.block_size) - len(sequence.blocks)
        if missing <= 0:
            return True
        if missing + spare > self.num_available:
            return False
        sequence.blocks.extend(self._allocate() for _ in range(missing))
        return True

    def adopt_prefix(self, sequence: Sequence) -> None:
        """Assign cached blocks that hold a prefix of the sequence's tokens; it has none before.

        At least one token remains to be computed, because its logits are needed.
        """
        for block in self._find_prefix(sequence):
            self._idle.pop(block, None)
            self._num_holders[block] += 1
            sequence.blocks.append(block)
        sequence.num_published = len(sequence.blocks)
        sequence.num_computed = len(sequence.blocks) * self.block_size

    def is_being_computed(self, sequence: Sequence, running: Iterable[Sequence]) -> bool:
        """Return True if one of `running` will publish the next block that `sequence` can share."""
        index = len(sequence.blocks)
        return index < self._num_shareable(sequence) and any(
            other.num_published <= index < len(other.tokens) // self.block_size
            and self._digest(other, index) == self._digest(sequence, index)
            for other in running
        )

    def publish(self, sequence: Sequence) -> None:
        """Add the blocks that the sequence has fully computed to the prefix cache."""
        for index in range(sequence.num_published, sequence.num_computed // self.block_size):
            digest, block = self._digest(sequence, index), sequence.blocks[index]
            if digest not in self._blocks_by_digest:
                self._blocks_by_digest[digest] = block
                self._digests_by_block[block] = digest
            sequence.num_published = index + 1

    def release(self, sequence: Sequence) -> None:
        """Release all blocks of the sequence and mark its tokens as not computed."""
        # In reverse, so that the end of a prefix is evicted before its start.
        for block in reversed(sequence.blocks):
            self._num_holders[block] -= 1
            if self._num_holders[block] == 0:
                self._retire(block)
        sequence.blocks.clear()
        sequence.num_computed = sequence.num_published = 0

    def _find_prefix(self, sequence: Sequence) -> list[int]:
        """Return the cached blocks that hold the longest prefix of the sequence's tokens."""
        found = []
        for index in range(self._num_shareable(sequence)):
            block = self._blocks_by_digest.get(self._digest(sequence, index))
            if block is None:
                break
            found.append(block)
        return found

    def _num_shareable(self, sequence: Sequence) -> int:
        return (len(sequence.tokens) - 1) // self.block_size

    def _retire(self, block: int) -> None:
        if block in self._digests_by_block:
            self._idle[block] = None
        else:
            self._free.append(block)

    def _allocate(self) -> int:
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            del self._blocks_by_digest[self._digests_by_block.pop(block)]
        self._num_holders[block] = 1
        return block

    def _digest(self, sequence: Sequence, index: int) -> bytes:
        """Return the chained, salted digest of the sequence's tokens to the end of block `index`.

        The digests of images are included, because all images have equal placeholder tokens.
        """
        digests = sequence.digests
        while len(digests) <= index:
            start = len(digests) * self.block_size
            end = start + self.block_size
            tokens = array("I", sequence.tokens[start:end])
            parent = digests[-1] if digests else self._root(sequence)
            chained = len(parent).to_bytes(4, "big") + parent + tokens.tobytes()
            for image in sequence.images:
                if image.rows_within(start, end):
                    chained += image.digest
            digests.append(blake2b(chained, digest_size=_DIGEST_BYTES).digest())
        return digests[index]

    @staticmethod
    def _root(sequence: Sequence) -> bytes:
        """Return the start of the chain of digests.

        Keys with the rotary factors of long sequences are other ones.
        """
        return sequence.cache_salt + (b"long" if sequence.has_long_positions else b"")
