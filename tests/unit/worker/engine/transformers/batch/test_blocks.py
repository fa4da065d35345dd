from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.unit.worker.engine.harness import greedy
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool

NUM_BLOCKS = 12
BLOCK_SIZE = 4


def sequence_of(tokens: list[int], salt: bytes = b"") -> Sequence:
    return Sequence(greedy("it", tokens, cache_salt=salt))


def compute_sequence(pool: BlockPool, tokens: list[int], salt: bytes = b"") -> Sequence:
    """Return a sequence whose tokens are computed and whose blocks are published for sharing."""
    sequence = sequence_of(tokens, salt)
    pool.adopt_prefix(sequence)
    assert pool.grow(sequence, len(tokens))
    sequence.num_computed = len(tokens)
    pool.publish(sequence)
    return sequence


def test_a_prefix_is_shared_up_to_the_last_full_block() -> None:
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
    first = compute_sequence(pool, list(range(10)))

    second = sequence_of([*range(10), 99, 98])
    pool.adopt_prefix(second)

    assert second.blocks == first.blocks[:2]
    assert second.num_computed == 8


def test_one_token_is_always_left_to_compute() -> None:
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
    compute_sequence(pool, list(range(8)))

    same = sequence_of(list(range(8)))
    pool.adopt_prefix(same)

    assert same.num_computed == 4


def test_a_block_is_found_only_after_the_same_beginning() -> None:
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
    compute_sequence(pool, [1, 1, 1, 1, 2, 2, 2, 2])

    other = sequence_of([3, 3, 3, 3, 2, 2, 2, 2, 5])
    pool.adopt_prefix(other)

    assert other.blocks == []


def test_another_salt_finds_nothing() -> None:
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
    compute_sequence(pool, list(range(8)), salt=b"a")

    other = sequence_of(list(range(9)), salt=b"b")
    pool.adopt_prefix(other)

    assert other.blocks == []


def test_growth_is_all_or_nothing() -> None:
    pool = BlockPool(2, BLOCK_SIZE)
    sequence = sequence_of(list(range(12)))

    assert not pool.grow(sequence, 12)
    assert pool.num_available == 2
    assert sequence.blocks == []


def test_the_least_recently_used_prefix_is_evicted_first_from_its_end() -> None:
    pool = BlockPool(4, BLOCK_SIZE)
    old, new = [1] * 8, [2] * 8
    for tokens in (old, new):
        pool.release(compute_sequence(pool, tokens))

    pool.grow(sequence_of([3] * 4), 4)
    again_old, again_new = sequence_of([*old, 0]), sequence_of([*new, 0])
    pool.adopt_prefix(again_old)
    pool.adopt_prefix(again_new)

    assert again_old.num_computed == 4
    assert again_new.num_computed == 8


class BlockPoolMachine(RuleBasedStateMachine):
    """Sequences over two tokens, so that prefixes are often shared."""

    sequences = Bundle("sequences")

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE)
        self.held: list[Sequence] = []
        self.content: dict[int, tuple[int, ...]] = {}

    @rule(target=sequences, tokens=st.lists(st.integers(0, 1), min_size=1, max_size=20))
    def admit(self, tokens: list[int]) -> Sequence:
        sequence = sequence_of(tokens)
        self.pool.adopt_prefix(sequence)
        for index, block in enumerate(sequence.blocks):
            assert self.content[block] == tuple(tokens[: (index + 1) * BLOCK_SIZE])
        self.held.append(sequence)
        return sequence

    @rule(sequence=sequences, num_tokens=st.integers(1, 20))
    def compute(self, sequence: Sequence, num_tokens: int) -> None:
        end = min(sequence.num_computed + num_tokens, len(sequence.tokens))
        if not self.pool.grow(sequence, end):
            return
        for index in range(sequence.num_computed // BLOCK_SIZE, len(sequence.blocks)):
            written = tuple(sequence.tokens[: (index + 1) * BLOCK_SIZE])
            self.content[sequence.blocks[index]] = written
        sequence.num_computed = end
        self.pool.publish(sequence)

    @rule(sequence=consumes(sequences))
    def release(self, sequence: Sequence) -> None:
        self.pool.release(sequence)
        self.held.remove(sequence)

    @invariant()
    def every_block_is_either_held_or_available(self) -> None:
        held = {block for sequence in self.held for block in sequence.blocks}
        assert len(held) + self.pool.num_available == NUM_BLOCKS

    @invariant()
    def holders_of_one_block_agree_on_its_content(self) -> None:
        content: dict[int, list[int]] = {}
        for sequence in self.held:
            for index, block in enumerate(sequence.blocks):
                start = sequence.tokens[: (index + 1) * BLOCK_SIZE]
                assert content.setdefault(block, start) == start


BlockPoolMachine.TestCase.settings = settings(max_examples=60, deadline=None)
TestBlockPool = BlockPoolMachine.TestCase
