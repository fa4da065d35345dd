"""One prompt for several concurrent sequences: computed once, in blocks shared correctly."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.engine.harness import greedy
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import due_sequences
from worker.engine.transformers.batch.scheduler import Scheduler

BLOCK_SIZE = 4


class Bench:
    """A scheduler whose batches are written to slots that remember their tokens."""

    def __init__(self, *, num_blocks: int, max_sequences: int = 16, max_batch_tokens: int = 512):
        self.pool = BlockPool(num_blocks, BLOCK_SIZE)
        self.scheduler = Scheduler(
            self.pool, max_sequences=max_sequences, max_batch_tokens=max_batch_tokens
        )
        self.slots: dict[int, tuple[int, ...]] = {}
        self.live: list[Sequence] = []

    def add(self, name: str, prompt: list[int], max_tokens: int = 6) -> Sequence:
        sequence = Sequence(greedy(name, prompt, max_tokens))
        self.live.append(sequence)
        self.scheduler.add(sequence)
        return sequence

    def step(self) -> dict[str, int]:
        """Compute a batch and check the history of its rows; return the tokens computed of each."""
        batch = self.scheduler.schedule()
        for chunk in batch:
            start = chunk.sequence.num_computed
            for position in range(start, start + chunk.num_tokens):
                self.slots[self._slot(chunk.sequence, position)] = self._history(
                    chunk.sequence, position
                )
        for chunk in batch:
            for position in range(chunk.sequence.num_computed + chunk.num_tokens):
                seen = self.slots[self._slot(chunk.sequence, position)]
                assert seen == self._history(chunk.sequence, position)
        due = due_sequences(batch)
        self.scheduler.advance(batch)
        for sequence in due:
            sequence.tokens.append(len(sequence.tokens) * 7 + ord(sequence.id[-1]))
            if sequence.num_generated >= sequence.params.max_tokens:
                self.remove(sequence)
        return {chunk.sequence.id: chunk.num_tokens for chunk in batch}

    def remove(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        self.live.remove(sequence)

    @staticmethod
    def _slot(sequence: Sequence, position: int) -> int:
        return sequence.blocks[position // BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE

    @staticmethod
    def _history(sequence: Sequence, position: int) -> tuple[int, ...]:
        return tuple(sequence.tokens[: position + 1])


def test_choices_compute_their_prompt_once_and_each_its_last_block() -> None:
    bench = Bench(num_blocks=100)
    for name in "abcd":
        bench.add(name, list(range(50)))

    assert bench.step() == {"a": 50}
    assert bench.step() == {"a": 1, "b": 2, "c": 2, "d": 2}
    assert bench.step() == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert 100 - bench.pool.num_available == 12 + 4


def test_one_that_waits_for_blocks_to_share_does_not_hold_up_others() -> None:
    bench = Bench(num_blocks=100, max_batch_tokens=20)
    for name in "ab":
        bench.add(name, list(range(50)))
    bench.add("other", [9] * 5)

    assert bench.step() == {"a": 20}
    assert bench.step() == {"a": 20}
    assert bench.step() == {"a": 10, "other": 5}
    assert bench.step() == {"a": 1, "other": 1, "b": 2}


def test_a_prefix_in_common_is_computed_once() -> None:
    bench = Bench(num_blocks=100)
    bench.add("a", [*range(20), 1, 1, 1])
    bench.add("b", [*range(20), 2, 2, 2, 2, 2])

    assert bench.step() == {"a": 23}
    assert bench.step() == {"a": 1, "b": 5}


def test_when_the_first_leaves_early_the_next_takes_its_place() -> None:
    bench = Bench(num_blocks=100, max_batch_tokens=20)
    first, *_ = [bench.add(name, list(range(50))) for name in "abc"]
    bench.step()

    bench.remove(first)

    assert bench.step() == {"b": 20}
    assert bench.step() == {"b": 10}
    assert bench.step() == {"b": 1, "c": 2}


@settings(deadline=None, max_examples=150)
@given(
    groups=st.lists(
        st.tuples(
            st.lists(st.integers(0, 1), min_size=1, max_size=30),
            st.integers(1, 5),
            st.integers(1, 10),
        ),
        min_size=1,
        max_size=4,
    ),
    num_blocks=st.integers(11, 40),
    max_sequences=st.integers(1, 8),
    max_batch_tokens=st.integers(1, 40),
    victims=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 19)), max_size=4),
)
def test_choices_of_any_prompts_all_end_and_see_their_own_tokens(
    groups: list[tuple[list[int], int, int]],
    num_blocks: int,
    max_sequences: int,
    max_batch_tokens: int,
    victims: list[tuple[int, int]],
) -> None:
    """Use two tokens, so that prompts share beginnings; some sequences are aborted on the way."""
    bench = Bench(
        num_blocks=num_blocks, max_sequences=max_sequences, max_batch_tokens=max_batch_tokens
    )
    for number, (prompt, num_choices, max_tokens) in enumerate(groups):
        for choice in range(num_choices):
            bench.add(f"{number}/{choice}", prompt, max_tokens)

    num_steps = 0
    while bench.live:
        for at, index in victims:
            if at == num_steps and index < len(bench.live):
                bench.remove(bench.live[index])
        bench.step()
        num_steps += 1
        assert num_steps < 3000
        held = {block for sequence in bench.scheduler.running for block in sequence.blocks}
        assert len(held) + bench.pool.num_available == num_blocks

    assert bench.scheduler.schedule() == []
    assert bench.pool.num_available == num_blocks
