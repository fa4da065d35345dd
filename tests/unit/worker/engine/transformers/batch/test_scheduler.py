from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.engine.harness import greedy
from worker.engine.sequence import Sequence, SequenceStatus
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import due_sequences
from worker.engine.transformers.batch.scheduler import Scheduler

BLOCK_SIZE = 4


def scheduler_with(
    num_blocks: int = 100,
    max_sequences: int = 8,
    max_batch_tokens: int = 16,
    original_length: int | None = None,
) -> tuple[Scheduler, BlockPool]:
    pool = BlockPool(num_blocks, BLOCK_SIZE)
    scheduler = Scheduler(
        pool,
        max_sequences=max_sequences,
        max_batch_tokens=max_batch_tokens,
        original_length=original_length,
    )
    return scheduler, pool


def sequence_of(name: str, num_tokens: int, key: str = "") -> Sequence:
    return Sequence(replace(greedy(name, [ord(name[0])] * num_tokens), fairness_key=key))


def step(scheduler: Scheduler) -> dict[str, int]:
    """Run a step as an engine would; return the number of tokens computed for each sequence."""
    batch = scheduler.schedule()
    sizes = {chunk.sequence.id: chunk.num_tokens for chunk in batch}
    due = due_sequences(batch)
    scheduler.advance(batch)
    for sequence in due:
        sequence.tokens.append(7)
    return sizes


def test_a_long_prompt_is_computed_in_chunks_beside_running_ones() -> None:
    scheduler, _ = scheduler_with(max_batch_tokens=16)
    scheduler.add(sequence_of("short", 3))
    step(scheduler)
    scheduler.add(sequence_of("long", 40))

    sizes = [step(scheduler) for _ in range(4)]

    assert [size["short"] for size in sizes] == [1, 1, 1, 1]
    assert [size["long"] for size in sizes] == [15, 15, 10, 1]


def test_a_batch_full_of_decodes_does_not_starve_a_prompt() -> None:
    scheduler, _ = scheduler_with(max_sequences=5, max_batch_tokens=4)
    for name in "abcd":
        scheduler.add(sequence_of(name, 1))
    step(scheduler)
    scheduler.add(sequence_of("e", 20))

    assert step(scheduler)["e"] == BLOCK_SIZE


def test_keys_share_the_tokens_of_prompts_and_one_leaves_what_it_does_not_need() -> None:
    scheduler, _ = scheduler_with(max_batch_tokens=24)
    for name, num_tokens, key in (("a", 60, "A"), ("b", 60, "A"), ("c", 60, "B"), ("d", 4, "C")):
        scheduler.add(sequence_of(name, num_tokens, key))

    assert step(scheduler) == {"d": 4, "a": 10, "c": 10}
    assert sorted(step(scheduler).values()) == [1, 11, 12]


def test_a_flood_of_prompts_of_one_key_does_not_hold_up_another() -> None:
    scheduler, _ = scheduler_with(max_batch_tokens=16)
    for name in "abcde":
        scheduler.add(sequence_of(name, 40, "flood"))
    step(scheduler)
    scheduler.add(sequence_of("x", 8, "other"))

    assert step(scheduler)["x"] == 8


def test_keys_take_turns_if_there_are_more_than_blocks_in_the_budget() -> None:
    scheduler, _ = scheduler_with(max_batch_tokens=BLOCK_SIZE)
    for name in "abc":
        scheduler.add(sequence_of(name, 40, name))

    assert [step(scheduler) for _ in range(4)] == [{name: BLOCK_SIZE} for name in "abca"]


def test_sequences_over_the_limit_wait_in_order() -> None:
    scheduler, _ = scheduler_with(max_sequences=2)
    sequences = [sequence_of(name, 2) for name in "abc"]
    for sequence in sequences:
        scheduler.add(sequence)

    assert set(step(scheduler)) == {"a", "b"}
    scheduler.remove(sequences[0])
    assert set(step(scheduler)) == {"b", "c"}


def test_without_blocks_the_youngest_goes_back_to_the_head_of_the_queue() -> None:
    scheduler, _ = scheduler_with(num_blocks=4, max_sequences=2)
    old, young, later = sequence_of("old", 4), sequence_of("young", 4), sequence_of("x", 4)
    for sequence in (old, young, later):
        scheduler.add(sequence)
    while young.status is SequenceStatus.RUNNING or not young.num_generated:
        step(scheduler)

    assert old.status is SequenceStatus.RUNNING
    assert list(scheduler.waiting) == [young, later]
    assert young.num_computed == 0


def test_a_waiting_sequence_can_be_removed() -> None:
    scheduler, pool = scheduler_with(max_sequences=1)
    first, second = sequence_of("a", 4), sequence_of("b", 4)
    scheduler.add(first)
    scheduler.add(second)
    step(scheduler)

    scheduler.remove(second)
    scheduler.remove(first)

    assert scheduler.schedule() == []
    assert pool.num_available == 100


@settings(deadline=None, max_examples=100)
@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 18), st.sampled_from("AB")),
        min_size=1,
        max_size=10,
    ),
    num_blocks=st.integers(12, 30),
    max_sequences=st.integers(1, 6),
    max_batch_tokens=st.integers(1, 40),
)
def test_every_sequence_ends_and_every_block_comes_back(
    sizes: list[tuple[int, int, str]], num_blocks: int, max_sequences: int, max_batch_tokens: int
) -> None:
    scheduler, pool = scheduler_with(num_blocks, max_sequences, max_batch_tokens)
    left = [
        Sequence(replace(greedy(str(number), [number] * length, end), fairness_key=key))
        for number, (length, end, key) in enumerate(sizes)
    ]
    for sequence in left:
        scheduler.add(sequence)

    num_steps = 0
    while left:
        step(scheduler)
        num_steps += 1
        assert num_steps < 3000
        for sequence in [s for s in left if s.num_generated >= s.params.max_tokens]:
            scheduler.remove(sequence)
            left.remove(sequence)

    assert scheduler.schedule() == []
    assert pool.num_available == num_blocks


def test_what_does_not_fit_into_memory_runs_later_and_everything_ends() -> None:
    scheduler, _ = scheduler_with(max_sequences=3, max_batch_tokens=16)
    first, second, third = (sequence_of(name, 2) for name in "abc")
    for sequence in (first, second, third):
        scheduler.add(sequence)
    scheduler.schedule()

    assert scheduler.reduce_load()

    assert set(step(scheduler)) == {"a", "b"}
    scheduler.remove(first)
    assert set(step(scheduler)) == {"b", "c"}


def test_a_sequence_alone_is_computed_in_smaller_chunks_until_they_are_blocks() -> None:
    scheduler, _ = scheduler_with(max_batch_tokens=16)
    long, other = sequence_of("long", 40), sequence_of("other", 40)
    scheduler.add(long)
    scheduler.schedule()

    assert [scheduler.reduce_load(), step(scheduler), scheduler.reduce_load(), step(scheduler)] == [
        *(True, {"long": 8}),
        *(True, {"long": 4}),
    ]
    assert not scheduler.reduce_load()
    scheduler.remove(long)
    scheduler.add(other)
    assert step(scheduler) == {"other": 16}


def test_a_sequence_that_outgrows_the_original_length_is_computed_anew() -> None:
    scheduler, pool = scheduler_with(original_length=10)
    short, crossing = sequence_of("short", 3), sequence_of("crossing", 9)
    scheduler.add(short)
    scheduler.add(crossing)
    step(scheduler)
    assert step(scheduler) == {"short": 1, "crossing": 1}
    assert not crossing.has_long_positions

    assert step(scheduler) == {"short": 1, "crossing": 11}
    assert (short.has_long_positions, crossing.has_long_positions) == (False, True)
    assert step(scheduler) == {"short": 1, "crossing": 1}

    scheduler.remove(short)
    scheduler.remove(crossing)
    assert pool.num_available == 100


def test_blocks_of_short_and_of_long_sequences_are_not_shared() -> None:
    scheduler, _ = scheduler_with(original_length=10)
    for name, num_tokens, num_computed in (
        *(("a short", 9, 9), ("a long one", 12, 12)),
        *(("a short one again", 9, 1), ("a long one again", 12, 4)),
    ):
        sequence = sequence_of(name, num_tokens)
        scheduler.add(sequence)
        assert step(scheduler) == {name: num_computed}
        scheduler.remove(sequence)
