"""The emitter thread: one round trip a step, and no response that disturbs another."""

import pytest

from models.responses.status import ResponseStatus
from tests.unit.worker.generation.memory_log import MemoryLog, begin, take_over
from worker.engine.interface import Delta, FinishReason
from worker.generation.emitter import Emitter
from worker.generation.generation import Generation


class _Broken:
    """A tokenizer that cannot read its own tokens."""

    def decode(self, token_ids: list[int]) -> str:
        raise ValueError("no such token")


class Desk:
    """An emitter on a log in memory; `run` delivers steps and waits until they are emitted."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.emitter = Emitter(self.log)
        self.aborted: list[str] = []
        self.ended: list[Generation] = []

    def add(self, generation: Generation) -> Generation:
        self.emitter.add(generation)
        generation.end = lambda: self.ended.append(generation)
        return generation

    def run(self, *steps: list[Delta]) -> None:
        for step in steps:
            self.emitter.on_step(step)
        self.emitter.start(self.aborted.append)
        self.emitter.stop()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def token(generation: Generation, letter: str, finish_reason: FinishReason | None = None) -> Delta:
    return Delta(
        sequence_id=generation.sequence_ids[0], token_id=ord(letter), finish_reason=finish_reason
    )


def test_a_step_is_logged_in_one_round_trip(desk: Desk) -> None:
    generations = [desk.add(begin(desk.log)) for _ in range(3)]

    desk.run([token(each, "a") for each in generations])

    assert desk.log.num_round_trips == 1
    for each in generations:
        assert desk.log.types(each.record.id) == [
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
        ]


def test_steps_that_came_meanwhile_share_a_round_trip(desk: Desk) -> None:
    generation = desk.add(begin(desk.log))

    desk.run([token(generation, "a")], [token(generation, "b")], [token(generation, "c")])

    assert desk.log.num_round_trips == 1
    assert desk.log.types(generation.record.id)[-3:] == ["output_text.delta"] * 3


def test_a_large_step_reaches_its_first_readers_before_the_last_is_ready(desk: Desk) -> None:
    generations = [desk.add(begin(desk.log)) for _ in range(100)]

    desk.run([token(each, "a") for each in generations])

    assert desk.log.num_round_trips == 2
    assert all(desk.log.types(each.record.id)[-1:] for each in generations)


def test_a_step_without_events_makes_no_round_trip(desk: Desk) -> None:
    generation = desk.add(begin(desk.log, stop=["END"]))

    desk.run([token(generation, "a")], [token(generation, "E")], [])

    assert desk.log.num_round_trips == 1


def test_a_generation_ends_after_its_last_events_are_logged(desk: Desk) -> None:
    generation = desk.add(begin(desk.log))
    logged: list[str] = []
    generation.end = lambda: logged.extend(desk.log.types(generation.record.id))

    desk.run([token(generation, "a", FinishReason.STOP)])

    assert logged[-1] == "output_text.delta"
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_a_sequence_that_ended_by_itself_is_not_aborted(desk: Desk) -> None:
    generation = desk.add(begin(desk.log))

    desk.run([token(generation, "a", FinishReason.LENGTH)])

    assert desk.ended == [generation]
    assert desk.aborted == []


def test_a_sequence_that_reached_a_stop_string_is_aborted(desk: Desk) -> None:
    generation = desk.add(begin(desk.log, stop=["b"]))

    desk.run([token(generation, "a")], [token(generation, "b")])

    assert desk.aborted == [generation.sequence_ids[0]]
    assert desk.ended == [generation]
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_what_the_engine_delivers_after_the_end_is_ignored(desk: Desk) -> None:
    generation = desk.add(begin(desk.log, stop=["b"]))

    desk.run(
        [token(generation, "a"), token(generation, "b"), token(generation, "c")],
        [token(generation, "d", FinishReason.ABORTED)],
    )

    assert desk.log.text(generation) == "a"
    assert generation.cause.status is ResponseStatus.COMPLETED
    assert desk.ended == [generation]


def test_a_sequence_that_nobody_added_is_ignored(desk: Desk) -> None:
    generation, stranger = desk.add(begin(desk.log)), begin(desk.log)

    desk.run([token(stranger, "a"), token(generation, "a", FinishReason.STOP)])

    assert desk.ended == [generation]
    assert desk.log.types(stranger.record.id) == []


def test_one_responses_fault_ends_only_that_response(desk: Desk) -> None:
    broken = desk.add(begin(desk.log, tokenizer=_Broken()))
    healthy = desk.add(begin(desk.log))

    desk.run(
        [token(broken, "a"), token(healthy, "a")],
        [token(broken, "b"), token(healthy, "b", FinishReason.STOP)],
    )

    assert broken.cause.status is ResponseStatus.FAILED
    assert desk.aborted == [broken.sequence_ids[0]]
    assert healthy.cause.status is ResponseStatus.COMPLETED
    assert desk.log.text(healthy) == "ab"
    assert desk.ended == [broken, healthy]


def test_a_response_that_another_attempt_took_over_is_aborted_and_released_once(
    desk: Desk,
) -> None:
    stale, other = desk.add(begin(desk.log)), desk.add(begin(desk.log))
    take_over(desk.log, stale)

    desk.run(
        [token(stale, "a"), token(other, "a")],
        [token(stale, "b"), token(other, "b")],
        [token(stale, "c", FinishReason.ABORTED)],
    )

    assert desk.aborted == [stale.sequence_ids[0]]
    assert stale.is_released
    assert not other.is_released
    assert desk.ended == [stale]
    assert desk.log.types(stale.record.id) == []


def test_a_log_that_lost_its_beginning_is_filled_again(desk: Desk) -> None:
    generation = desk.add(begin(desk.log))
    generation.recorder.flush()
    desk.log.events.clear()

    desk.run([token(generation, "a")], [token(generation, "b")])

    numbers = [event.sequence_number for event in desk.log.events[generation.record.id]]
    assert numbers == list(range(2, 7))


def test_what_could_not_be_logged_follows_when_the_log_is_back(desk: Desk) -> None:
    generation = desk.add(begin(desk.log))
    desk.log.is_reachable = False
    generation.recorder.flush()
    desk.log.is_reachable = True

    desk.run([token(generation, "a")])

    assert desk.log.types(generation.record.id)[0] == "in_progress"


def test_generation_goes_on_while_the_log_is_out_of_reach(desk: Desk) -> None:
    generation = desk.add(begin(desk.log))
    desk.log.is_reachable = False

    desk.run([token(generation, "a")], [token(generation, "b", FinishReason.STOP)])

    desk.log.is_reachable = True
    assert desk.log.text(generation) == "ab"
    assert desk.ended == [generation]
    assert desk.aborted == []
