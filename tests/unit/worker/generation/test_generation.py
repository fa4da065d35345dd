"""One generated response: tokens to text, the causes of its end, a second attempt."""

from collections.abc import Iterable

import pytest

from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from tests.unit.worker.generation.memory_log import MemoryLog, begin, claimed_response, take_over
from worker.engine.interface import Delta, FinishReason
from worker.generation.generation import Generation

_MAX_TOKENS = 100


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def feed(generation: Generation, tokens: bytes, finish_reason: FinishReason | None = None) -> bool:
    """Deliver bytes as tokens, as an engine does: the end comes with the last of them."""
    is_over = False
    for position, token in enumerate(tokens, start=1):
        reason = finish_reason if position == len(tokens) else None
        delta = Delta(sequence_id=generation.sequence_ids[0], token_id=token, finish_reason=reason)
        is_over = generation.advance(delta)
        if is_over:
            break
    return is_over


def end(generation: Generation, reason: FinishReason, error: str | None = None) -> bool:
    """Deliver an end without a token."""
    return generation.advance(
        Delta(
            sequence_id=generation.sequence_ids[0], token_id=None, finish_reason=reason, error=error
        )
    )


def ids(tokens: Iterable[GeneratedToken]) -> list[int]:
    return [token.token_id for token in tokens]


def finish_again(second: Generation, found: list[GeneratedToken], reason: FinishReason) -> None:
    """Resume; unless that ends the response, deliver again the end of the first attempt."""
    if not second.resume_logged(found):
        end(second, reason)


def test_tokens_become_text(log: MemoryLog) -> None:
    generation = begin(log)

    assert not feed(generation, b"Hello")
    assert log.text(generation) == "Hello"


def test_a_delta_accounts_for_all_tokens_since_the_last(log: MemoryLog) -> None:
    generation = begin(log)

    feed(generation, "aß€".encode())
    generation.recorder.flush()

    deltas = [e for e in log.events[generation.record.id] if e.type.endswith("text.delta")]
    assert [bytes(event.token_ids).decode() for event in deltas] == ["a", "ß", "€"]


def test_no_half_character_is_shown_before_the_end(log: MemoryLog) -> None:
    generation = begin(log)

    feed(generation, "a€".encode()[:-1])
    before = log.text(generation)
    end(generation, FinishReason.STOP)

    assert before == "a"
    assert log.text(generation).startswith("a\N{REPLACEMENT CHARACTER}")


def test_the_character_that_postgres_does_not_keep_is_replaced(log: MemoryLog) -> None:
    generation = begin(log)

    feed(generation, b"a\0b", FinishReason.STOP)

    assert log.text(generation) == "a\N{REPLACEMENT CHARACTER}b"


def test_usage_counts_every_token_that_was_generated(log: MemoryLog) -> None:
    generation = begin(log, stop=["END"])
    first = Delta(sequence_id=generation.sequence_ids[0], token_id=ord("a"), num_cached_tokens=4)

    generation.advance(first)
    feed(generation, b"bEND")

    usage = generation.cause.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (7, 5, 12)
    assert usage.input_tokens_details.cached_tokens == 4


def test_a_stop_string_ends_the_response_and_is_not_part_of_it(log: MemoryLog) -> None:
    generation = begin(log, stop=["END"])

    assert feed(generation, b"so it END and on")
    assert log.text(generation) == "so it "
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_a_stop_string_that_comes_with_the_last_token_counts_before_its_length(
    log: MemoryLog,
) -> None:
    generation = begin(log, stop=["END"])

    assert feed(generation, b"END", FinishReason.LENGTH)
    assert generation.cause.status is ResponseStatus.COMPLETED


def test_a_stop_string_may_be_in_what_was_held_back(log: MemoryLog) -> None:
    generation = begin(log, stop=["\N{REPLACEMENT CHARACTER}"])

    feed(generation, b"a\xe2", FinishReason.LENGTH)

    assert log.text(generation) == "a"
    assert generation.cause.status is ResponseStatus.COMPLETED


@pytest.mark.parametrize("reason", FinishReason)
def test_the_start_of_a_stop_string_is_shown_when_nothing_follows(
    log: MemoryLog, reason: FinishReason
) -> None:
    generation = begin(log, stop=["END"])
    feed(generation, b"the EN")

    assert end(generation, reason)
    assert log.text(generation) == "the EN"


def test_a_released_generation_shows_no_more_than_what_is_sure(log: MemoryLog) -> None:
    generation = begin(log, stop=["END"])
    feed(generation, b"the EN")
    generation.is_released = True

    assert end(generation, FinishReason.ABORTED)
    assert log.text(generation) == "the "


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (FinishReason.STOP, ResponseStatus.COMPLETED),
        (FinishReason.GRAMMAR, ResponseStatus.COMPLETED),
        (FinishReason.LENGTH, ResponseStatus.INCOMPLETE),
        (FinishReason.ABORTED, ResponseStatus.CANCELLED),
        (FinishReason.ERROR, ResponseStatus.FAILED),
    ],
)
def test_the_end_of_the_sequence_decides_the_end_of_the_response(
    log: MemoryLog, reason: FinishReason, status: ResponseStatus
) -> None:
    generation = begin(log)

    assert feed(generation, b"a", reason)
    assert generation.cause.status is status
    assert generation.cause.usage == generation.usage()


def test_only_a_response_that_was_cut_off_says_by_what(log: MemoryLog) -> None:
    cut, whole = begin(log), begin(log)

    end(cut, FinishReason.LENGTH)
    end(whole, FinishReason.STOP)

    assert cut.cause.incomplete_details == {"reason": "max_output_tokens"}
    assert whole.cause.incomplete_details is None


@pytest.mark.parametrize(
    ("error", "message"),
    [("The grammar broke.", "The grammar broke."), (None, "The engine failed.")],
)
def test_an_engines_error_is_told(log: MemoryLog, error: str | None, message: str) -> None:
    generation = begin(log)

    end(generation, FinishReason.ERROR, error)

    assert generation.cause.error == {"code": "server_error", "message": message}


def test_a_fault_of_ours_is_told_without_details(log: MemoryLog) -> None:
    generation = begin(log)
    feed(generation, b"ab")

    generation.fail()

    assert generation.cause.status is ResponseStatus.FAILED
    assert generation.cause.error == {"code": "server_error", "message": "The worker failed."}
    assert generation.cause.usage == generation.usage()


def test_each_attempt_is_another_sequence_to_the_engine(log: MemoryLog) -> None:
    first = begin(log)

    second, _ = take_over(log, first)

    assert first.sequence_ids != second.sequence_ids


@pytest.mark.parametrize("num_before", range(12))
def test_a_second_attempt_adds_up_to_the_same_text_wherever_the_first_was_lost(
    log: MemoryLog, num_before: int
) -> None:
    tokens = "aEß END€b".encode()
    first = begin(log, stop=["END!"])
    feed(first, tokens[:num_before])
    first.recorder.flush()

    second, found = take_over(log, first, stop=["END!"])
    assert not second.resume_logged(found)
    feed(second, tokens[len(found) :], FinishReason.STOP)

    assert bytes(ids(found)) == tokens[: len(found)]
    assert log.text(second) == "aEß END€b"
    assert second.usage().output_tokens == len(tokens)


def test_a_second_attempt_finds_a_stop_string_that_began_in_the_first(log: MemoryLog) -> None:
    first = begin(log, stop=["bEND"])
    feed(first, b"abE")
    first.recorder.flush()

    second, found = take_over(log, first, stop=["bEND"])
    second.resume_logged(found)

    assert feed(second, b"abEND"[len(found) :])
    assert log.text(second) == "a"


class _Words:
    """Tokenizer whose tokens are words."""

    words = ("the", " EN", " x END y", "D.")

    def decode(self, token_ids: list[int]) -> str:
        return "".join(self.words[token_id] for token_id in token_ids)


def test_an_attempt_whose_stop_string_was_logged_has_nothing_to_generate(log: MemoryLog) -> None:
    first = begin(log, stop=["END"], tokenizer=_Words())
    feed(first, bytes([0, 2]))
    first.recorder.flush()

    second = begin(log, claimed_response(2), stop=["END"], tokenizer=_Words())

    assert second.resume_logged([GeneratedToken(0, 0), GeneratedToken(0, 2)])
    assert second.cause.status is ResponseStatus.COMPLETED
    assert second.usage().output_tokens == 2


def test_an_attempt_whose_tokens_are_all_there_has_nothing_to_generate(log: MemoryLog) -> None:
    first = begin(log)
    feed(first, b"abc", FinishReason.LENGTH)
    first.recorder.flush()

    second, found = take_over(log, first)
    finish_again(second, found, FinishReason.LENGTH)

    assert second.cause.status is ResponseStatus.INCOMPLETE
    assert log.text(second) == "abc"
    assert second.usage() == first.usage()


@pytest.mark.parametrize("tokens", [b"the EN", b"the \xe2\x82"])
@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.STOP])
def test_what_the_first_attempt_showed_at_its_end_is_not_shown_again(
    log: MemoryLog, tokens: bytes, reason: FinishReason
) -> None:
    first = begin(log, stop=["END"])
    feed(first, tokens, reason)
    first.recorder.flush()

    second, found = take_over(log, first, stop=["END"])
    finish_again(second, found, reason)

    assert bytes(ids(found)) == tokens
    assert log.text(second) == log.text(first)


def test_a_grammar_that_ended_with_the_last_token_ends_the_second_attempt_as_it_did_the_first(
    log: MemoryLog,
) -> None:
    first = begin(log)
    feed(first, b"{}", FinishReason.GRAMMAR)
    first.recorder.flush()

    second, found = take_over(log, first)
    finish_again(second, found, FinishReason.GRAMMAR)

    assert second.cause.status is first.cause.status is ResponseStatus.COMPLETED


def test_what_a_released_attempt_held_back_is_shown_by_the_next(log: MemoryLog) -> None:
    first = begin(log, stop=["END"])
    feed(first, b"the EN")
    first.is_released = True
    end(first, FinishReason.ABORTED)
    first.recorder.flush()

    second, found = take_over(log, first, stop=["END"])
    second.resume_logged(found)
    feed(second, b"the EN"[len(found) :], FinishReason.STOP)

    assert log.text(second) == "the EN"
