"""States of sequences and their snapshots, with lists of tokens in the place of tensors."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.engine.harness import greedy
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import due_sequences
from worker.engine.transformers.batch.scheduler import Scheduler
from worker.engine.transformers.batch.state_blocks import StateBlockPool, make_block_pool

NUM_BLOCKS = 12
BLOCK_SIZE = 4
NUM_TOKENS = 9
"""Tokens of each answer."""


class States:
    """States of a forward pass: the tokens that each has seen."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.reuses_answers = True
        self.seen: list[list[int]] = [[-1]] * num_slots

    def copy(self, source: int, target: int) -> None:
        self.seen[target] = self.seen[source]


class Engine:
    """Scheduler whose steps compute nothing but check that each state has seen what it should."""

    def __init__(self, num_slots: int, num_blocks: int = 100, max_batch_tokens: int = 16) -> None:
        self.states = States(num_slots)
        self.pool = StateBlockPool(num_blocks, BLOCK_SIZE, self.states)
        self.scheduler = Scheduler(self.pool, max_sequences=8, max_batch_tokens=max_batch_tokens)
        self.num_computed = 0
        self._num_sequences = 0

    def submit(self, tokens: list[int]) -> Sequence:
        self._num_sequences += 1
        sequence = Sequence(replace(greedy(str(self._num_sequences), tokens, NUM_TOKENS)))
        self.scheduler.add(sequence)
        return sequence

    def step(self) -> None:
        batch = self.scheduler.schedule()
        for chunk in batch:
            sequence, slot = chunk.sequence, chunk.sequence.state_slot
            assert slot is not None
            end = sequence.num_computed + chunk.num_tokens
            if sequence.num_computed:
                assert self.states.seen[slot] == sequence.tokens[: sequence.num_computed]
            self.states.seen[slot] = sequence.tokens[:end]
            self.num_computed += chunk.num_tokens
        slots = [sequence.state_slot for sequence in self.scheduler.running]
        assert len(set(slots)) == len(slots)
        due = due_sequences(batch)
        self.scheduler.advance(batch)
        for sequence in due:
            sequence.tokens.append(sum(sequence.tokens) % 7)
            if sequence.num_generated == NUM_TOKENS:
                self.scheduler.remove(sequence)

    def run(self, *prompts: list[int]) -> list[Sequence]:
        """Compute prompts and their answers to the end."""
        sequences = [self.submit(prompt) for prompt in prompts]
        while self.scheduler.running or self.scheduler.waiting:
            self.step()
        return sequences


def test_a_network_without_states_has_the_plain_pool() -> None:
    assert type(make_block_pool(NUM_BLOCKS, BLOCK_SIZE, None)) is BlockPool
    assert type(make_block_pool(NUM_BLOCKS, BLOCK_SIZE, States(1))) is StateBlockPool


def test_each_sequence_has_a_slot_of_its_own_until_it_is_released() -> None:
    pool = StateBlockPool(NUM_BLOCKS, BLOCK_SIZE, States(2))
    first, second, third = (Sequence(greedy("it", [1, 2, 3])) for _ in range(3))

    assert pool.grow(first, 3)
    assert pool.grow(second, 3)
    assert {first.state_slot, second.state_slot} == {0, 1}
    assert not pool.grow(third, 3)
    assert (third.state_slot, third.blocks) == (None, [])

    slot = first.state_slot
    pool.release(first)
    assert pool.grow(third, 3)
    assert (first.state_slot, third.state_slot) == (None, slot)


def test_a_sequence_without_blocks_takes_no_slot() -> None:
    pool = StateBlockPool(NUM_BLOCKS, BLOCK_SIZE, States(1))
    large, small = Sequence(greedy("it", [1] * 100)), Sequence(greedy("it", [1, 2, 3]))

    assert not pool.grow(large, 100)
    assert large.state_slot is None
    assert pool.grow(small, 3)


def test_a_second_turn_goes_on_after_the_last_full_block_of_the_first() -> None:
    engine = Engine(num_slots=4)
    [first] = engine.run([1, 2, 3, 4, 5, 6])
    known = first.tokens[: 6 + NUM_TOKENS]

    [second] = engine.run([*known, 8, 9])

    assert second.num_cached == (6 + NUM_TOKENS - 1) // BLOCK_SIZE * BLOCK_SIZE


def test_a_second_turn_goes_on_within_the_first_prompt_if_answers_have_other_states() -> None:
    engine = Engine(num_slots=4)
    engine.states.reuses_answers = False
    [first] = engine.run([1, 2, 3, 4, 5, 6])

    [second] = engine.run([*first.tokens, 8, 9])

    assert second.num_cached == 4


def test_the_same_prompt_goes_on_after_its_own_last_full_block() -> None:
    engine = Engine(num_slots=4)
    engine.run([1, 2, 3, 4, 5, 6])

    [again, other] = engine.run([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 9, 9])

    assert (again.num_cached, other.num_cached) == (4, 4)


def test_choices_wait_for_the_first_to_compute_their_prompt() -> None:
    engine = Engine(num_slots=8)
    prompt = list(range(30))

    choices = engine.run(prompt, prompt, prompt)

    assert [choice.num_cached for choice in choices] == [0, 28, 28]


def test_what_prompts_begin_with_is_kept_once_two_have_begun_so() -> None:
    engine = Engine(num_slots=8)
    shared = list(range(8))

    users = engine.run([*shared, *[9] * 20])
    users += engine.run([*shared, *[8] * 20])
    users += engine.run([*shared, *[7] * 20])

    assert [user.num_cached for user in users] == [0, 0, 8]


def test_prompts_that_arrive_together_share_what_they_begin_with() -> None:
    engine = Engine(num_slots=8)
    shared = list(range(10))
    prompts = [[*shared, *[number] * 20] for number in (9, 8, 7)]

    users = engine.run(*prompts)

    assert [user.num_cached for user in users] == [0, 8, 8]


def test_one_goes_on_from_another_that_is_halfway_through_what_they_share() -> None:
    engine = Engine(num_slots=8)
    shared = [number % 7 for number in range(40)]
    first = engine.submit([*shared, 1, 2, 3])
    engine.step()
    second = engine.submit([*shared, 4, 5, 6])

    engine.run()

    assert (first.num_cached, second.num_cached) == (0, 40)


def test_too_little_in_common_is_not_waited_for() -> None:
    engine = Engine(num_slots=8)
    first, second = (engine.submit([1, 2, 3, 4, *[number] * 12]) for number in (5, 9))

    engine.step()

    assert first.num_computed > 0
    assert second.num_computed > 0


def test_without_a_slot_for_a_snapshot_each_computes_its_own() -> None:
    engine = Engine(num_slots=1)
    shared = list(range(10))

    users = engine.run([*shared, *[9] * 20], [*shared, *[8] * 20])

    assert [user.num_generated for user in users] == [NUM_TOKENS] * 2
    assert [user.num_cached for user in users] == [0, 0]


def test_snapshots_leave_their_slots_to_sequences_the_oldest_first() -> None:
    engine = Engine(num_slots=3)
    engine.run([1] * 6)
    engine.run([2] * 6)

    recent, old = engine.run([2] * 6)[0], engine.run([1] * 6)[0]

    assert (recent.num_cached, old.num_cached) == (4, 0)


def test_the_last_snapshot_hands_its_slot_to_the_sequence_that_goes_on_from_it() -> None:
    engine = Engine(num_slots=2)
    [before] = engine.run([1] * 6)
    first, second = (engine.submit(before.tokens[:14]) for _ in range(2))

    engine.step()

    assert (first.num_cached, second.num_cached) == (12, 12)
    assert second.state_slot != first.state_slot


def test_a_prefix_whose_snapshot_was_overwritten_is_computed_again() -> None:
    engine = Engine(num_slots=2)
    [before] = engine.run([1] * 6)
    pool, following = engine.pool, Sequence(greedy("following", before.tokens[:14]))
    pool.adopt_prefix(following)
    assert following.num_computed == 12
    others = [Sequence(greedy(str(number), [number] * 3)) for number in range(2)]
    assert all(pool.grow(other, 3) for other in others)
    pool.release(others[0])

    assert pool.grow(following, 14)

    assert following.num_computed == 0


def test_a_failed_step_computes_all_sequences_again() -> None:
    engine = Engine(num_slots=8)
    sequences = [engine.submit([number] * 6) for number in range(3)]
    engine.step()
    for chunk in engine.scheduler.schedule():
        assert chunk.sequence.state_slot is not None
        engine.states.seen[chunk.sequence.state_slot] = [-1]

    assert engine.scheduler.reduce_load()

    assert not engine.scheduler.running
    engine.run()
    assert [sequence.num_generated for sequence in sequences] == [NUM_TOKENS] * 3


_PROMPTS = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=20), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(prompts=_PROMPTS, num_slots=st.integers(1, 6), num_blocks=st.integers(8, 20))
def test_states_have_always_seen_what_their_sequences_have_computed(
    prompts: list[list[int]], num_slots: int, num_blocks: int
) -> None:
    """Run prompts with much in common; `Engine` checks each state in each step."""
    engine = Engine(num_slots, num_blocks)
    for number, prompt in enumerate(prompts):
        engine.submit(prompt)
        if number % 3 == 0:
            engine.step()
        if number % 5 == 4 and engine.scheduler.running:
            engine.scheduler.reduce_load()

    engine.run()

    assert engine.num_computed > 0
    assert not engine.scheduler.running
