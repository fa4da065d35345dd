"""The emitter thread: one round trip per step, and isolation between responses."""

import pytest

from models.responses.status import ResponseStatus
from tests.unit.worker.generation.memory_log import MemoryLog, begin, take_over
from worker.engine.interface import Delta, FinishReason
from worker.generation.emitter import Emitter
from worker.generation.generation import Generation


class _Broken:
    """Tokenizer that fails to decode its own tokens."""

    def decode(self, token_ids: list[int]) -> str:
        raise ValueError("no such token")


class EmitterHarness:
    """An emitter on an in-memory log; `run` delivers steps and waits until they are emitted."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.emitter = Emitter(self.log)
        self.aborted: list[str] = []
        self.ended: list[Generation] = []

    def add(self, generation: Generation) -> Generation:
        self.emitter.add(generation)
        generation.end = lambda: self.ended.append(generation)  # type: ignore[method-assign]
        return generation

    def run(self, *steps: list[Delta]) -> None:
        for step in steps:
            self.emitter.on_step(step)
        self.emitter.start(self.aborted.append)
        self.emitter.stop()


@pytest.fixture
def harness() -> EmitterHarness:
    return EmitterHarness()


def token(generation: Generation, letter: str, finish_reason: FinishReason | None = None) -> Delta:
    return Delta(
        sequence_id=generation.sequence_ids[0], token_id=ord(letter), finish_reason=finish_reason
    )


def test_a_step_is_logged_in_one_round_trip(harness: EmitterHarness) -> None:
    generations = [harness.add(begin(harness.log)) for _ in range(3)]

    harness.run([token(generation, "a") for generation in generations])

    assert harness.log.num_round_trips == 1
    for generation in generations:
        assert harness.log.types(generation.record.id) == [
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
        ]


def test_steps_that_came_meanwhile_share_a_round_trip(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log))

    harness.run([token(generation, "a")], [token(generation, "b")], [token(generation, "c")])

    assert harness.log.num_round_trips == 1
    assert harness.log.types(generation.record.id)[-3:] == ["output_text.delta"] * 3


def test_a_large_step_reaches_its_first_readers_before_the_last_is_ready(
    harness: EmitterHarness,
) -> None:
    generations = [harness.add(begin(harness.log)) for _ in range(100)]

    harness.run([token(generation, "a") for generation in generations])

    assert harness.log.num_round_trips == 2
    assert all(harness.log.types(generation.record.id)[-1:] for generation in generations)


def test_a_step_without_events_makes_no_round_trip(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log, stop=["END"]))

    harness.run([token(generation, "a")], [token(generation, "E")], [])

    assert harness.log.num_round_trips == 1


def test_a_generation_ends_after_its_last_events_are_logged(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log))
    logged: list[str] = []

    def note_logged() -> None:
        logged.extend(harness.log.types(generation.record.id))

    generation.end = note_logged  # type: ignore[method-assign]

    harness.run([token(generation, "a", FinishReason.STOP)])

    assert logged[-1] == "output_text.delta"
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_a_sequence_that_ended_by_itself_is_not_aborted(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log))

    harness.run([token(generation, "a", FinishReason.LENGTH)])

    assert harness.ended == [generation]
    assert harness.aborted == []


def test_a_sequence_that_reached_a_stop_string_is_aborted(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log, stop=["b"]))

    harness.run([token(generation, "a")], [token(generation, "b")])

    assert harness.aborted == [generation.sequence_ids[0]]
    assert harness.ended == [generation]
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_what_the_engine_delivers_after_the_end_is_ignored(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log, stop=["b"]))

    harness.run(
        [token(generation, "a"), token(generation, "b"), token(generation, "c")],
        [token(generation, "d", FinishReason.ABORTED)],
    )

    assert harness.log.text(generation) == "a"
    assert generation.cause.status is ResponseStatus.COMPLETED
    assert harness.ended == [generation]


def test_a_sequence_that_nobody_added_is_ignored(harness: EmitterHarness) -> None:
    generation, stranger = harness.add(begin(harness.log)), begin(harness.log)

    harness.run([token(stranger, "a"), token(generation, "a", FinishReason.STOP)])

    assert harness.ended == [generation]
    assert harness.log.types(stranger.record.id) == []


def test_one_responses_fault_ends_only_that_response(harness: EmitterHarness) -> None:
    broken = harness.add(begin(harness.log, tokenizer=_Broken()))
    healthy = harness.add(begin(harness.log))

    harness.run(
        [token(broken, "a"), token(healthy, "a")],
        [token(broken, "b"), token(healthy, "b", FinishReason.STOP)],
    )

    assert broken.cause.status is ResponseStatus.FAILED
    assert harness.aborted == [broken.sequence_ids[0]]
    assert healthy.cause.status is ResponseStatus.COMPLETED
    assert harness.log.text(healthy) == "ab"
    assert harness.ended == [broken, healthy]


def test_a_response_that_another_attempt_took_over_is_aborted_and_released_once(
    harness: EmitterHarness,
) -> None:
    stale, other = harness.add(begin(harness.log)), harness.add(begin(harness.log))
    take_over(harness.log, stale)

    harness.run(
        [token(stale, "a"), token(other, "a")],
        [token(stale, "b"), token(other, "b")],
        [token(stale, "c", FinishReason.ABORTED)],
    )

    assert harness.aborted == [stale.sequence_ids[0]]
    assert stale.is_released
    assert not other.is_released
    assert harness.ended == [stale]
    assert harness.log.types(stale.record.id) == []


def test_a_log_that_lost_its_beginning_is_filled_again(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log))
    generation.recorder.flush()
    harness.log.events.clear()

    harness.run([token(generation, "a")], [token(generation, "b")])

    numbers = [event.sequence_number for event in harness.log.events[generation.record.id]]
    assert numbers == list(range(2, 7))


def test_what_could_not_be_logged_follows_when_the_log_is_back(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log))
    harness.log.is_reachable = False
    generation.recorder.flush()
    harness.log.is_reachable = True

    harness.run([token(generation, "a")])

    assert harness.log.types(generation.record.id)[0] == "in_progress"


def test_generation_goes_on_while_the_log_is_out_of_reach(harness: EmitterHarness) -> None:
    generation = harness.add(begin(harness.log))
    harness.log.is_reachable = False

    harness.run([token(generation, "a")], [token(generation, "b", FinishReason.STOP)])

    harness.log.is_reachable = True
    assert harness.log.text(generation) == "ab"
    assert harness.ended == [generation]
    assert harness.aborted == []
