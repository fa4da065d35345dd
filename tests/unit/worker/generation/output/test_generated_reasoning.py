"""Generated reasoning: parsed, counted, resumed, encrypted and summarised."""

from typing import Any

import pytest

from models.encryption.reasoning import decrypt_reasoning
from models.responses.status import ResponseStatus
from models.schemas.response import Usage
from tests.factories import stored_response
from tests.unit.worker.generation.memory_log import CIPHER, MemoryLog, Thinking, begin, take_over
from worker.engine.interface import Delta, FinishReason, Logprobs
from worker.generation.generation import Generation
from worker.generation.output.rules import OutputRules

THINKING = Thinking()
SAID = b"<think>\nHm. STOP.\n</think>\n\nYes. STOP. No."
NUM_THOUGHT = SAID.index(b"\n\nYes")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def request_with(**parameters: Any) -> Any:
    return stored_response(
        status=ResponseStatus.IN_PROGRESS,
        attempt=1,
        parameters={"temperature": 1.0, "top_p": 1.0, **parameters},
    )


def feed(
    generation: Generation, tokens: bytes, end: FinishReason | None = FinishReason.STOP
) -> None:
    for position, token in enumerate(tokens, start=1):
        reason = end if position == len(tokens) else None
        if generation.advance(
            Delta(sequence_id=generation.sequence_ids[0], token_id=token, finish_reason=reason)
        ):
            break


def output_of(generation: Generation) -> list[tuple[str, str, str]]:
    """Return type, status and text of each item, once the generation has ended."""
    items = generation.recorder.finish(generation.cause).output
    return [(item["type"], item["status"], item["content"][0]["text"]) for item in items]


def usage_of(generation: Generation) -> Usage:
    assert generation.cause.usage is not None
    return generation.cause.usage


def test_reasoning_is_an_item_and_no_stop_string_is_looked_for_in_it(log: MemoryLog) -> None:
    generation = begin(log, thinking=THINKING, stop=["STOP"])

    feed(generation, SAID)

    usage = usage_of(generation)
    assert output_of(generation) == [
        ("reasoning", "completed", "Hm. STOP."),
        ("message", "completed", "Yes. "),
    ]
    assert usage.output_tokens_details.reasoning_tokens == NUM_THOUGHT
    assert usage.output_tokens == SAID.rindex(b"STOP") + len("STOP")


def test_its_events_are_those_of_reasoning(log: MemoryLog) -> None:
    generation = begin(log, thinking=THINKING)

    feed(generation, b"<think>a</think>b")
    generation.recorder.flush()

    assert log.types(generation.record.id)[1:] == [
        *("output_item.added", "content_part.added", "reasoning.delta"),
        *("reasoning.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
    ]


def test_one_that_the_prompt_began_counts_from_the_first_token(log: MemoryLog) -> None:
    generation = begin(log, thinking=Thinking(opens_reasoning=True))

    feed(generation, b"Hm.</think>Yes.")

    assert usage_of(generation).output_tokens_details.reasoning_tokens == len("Hm.</think>")
    assert [kind for kind, *_ in output_of(generation)] == ["reasoning", "message"]


def test_the_limit_within_reasoning_leaves_it_incomplete(log: MemoryLog) -> None:
    generation = begin(log, request_with(reasoning={"summary": "auto"}), thinking=THINKING)

    feed(generation, b"<think>Hm. So", FinishReason.LENGTH)

    assert generation.cause.status is ResponseStatus.INCOMPLETE
    usage = usage_of(generation).output_tokens_details
    assert usage.reasoning_tokens == len("<think>Hm. So")
    [item] = generation.recorder.finish(generation.cause).output
    assert (item["status"], item["summary"]) == ("incomplete", [])


def test_reasoning_that_is_to_be_none_is_shown_nowhere(log: MemoryLog) -> None:
    generation = begin(log, thinking=Thinking(rules=OutputRules(hides_reasoning=True)))

    feed(generation, b"<think>a</think>b")

    assert usage_of(generation).output_tokens_details.reasoning_tokens == len("<think>a</think>")
    assert output_of(generation) == [("message", "completed", "b")]


@pytest.mark.parametrize("num_before", range(len(SAID)))
def test_a_second_attempt_goes_on_at_any_token(log: MemoryLog, num_before: int) -> None:
    asked = request_with(include=["reasoning.encrypted_content"], reasoning={"summary": "auto"})
    undisturbed = begin(MemoryLog(), asked, thinking=THINKING, stop=["STOP"])
    first = begin(log, asked, thinking=THINKING, stop=["STOP"])
    feed(undisturbed, SAID)
    feed(first, SAID[:num_before], end=None)
    first.recorder.flush()

    second, found = take_over(log, first, thinking=THINKING, stop=["STOP"])
    if not second.resume_logged(found):
        feed(second, SAID[len(found) :])

    assert usage_of(second) == usage_of(undisturbed)
    lines = [
        generation.recorder.finish(generation.cause).events[:-1]
        for generation in (second, undisturbed)
    ]
    assert lines[0] == lines[1]


def test_log_probabilities_are_those_of_the_answer_alone(log: MemoryLog) -> None:
    generation = begin(log, thinking=THINKING)
    for token in b"<think>a</think>\nb":
        logprobs = Logprobs(-float(token), ())
        [sequence_id] = generation.sequence_ids
        generation.advance(Delta(sequence_id=sequence_id, token_id=token, logprobs=logprobs))
    generation.advance(
        Delta(sequence_id=sequence_id, token_id=None, finish_reason=FinishReason.STOP)
    )

    message = generation.recorder.finish(generation.cause).output[-1]

    assert [logprob["token"] for logprob in message["content"][0]["logprobs"]] == ["b"]


def test_it_is_encrypted_and_summarised_if_that_is_asked_for(log: MemoryLog) -> None:
    asked = request_with(
        include=["reasoning.encrypted_content"], reasoning={"summary": "concise"}, store=False
    )
    generation = begin(log, asked, thinking=THINKING)

    feed(generation, b"<think>First. Then. Last.</think>b")

    item = generation.recorder.finish(generation.cause).output[0]
    assert item["summary"] == [{"type": "summary_text", "text": "First.\nLast."}]
    encrypted = {"encrypted_content": item["encrypted_content"]}
    decrypted = decrypt_reasoning(CIPHER, asked.project_id, encrypted)
    assert decrypted["content"] == item["content"]


def test_choices_think_each_for_itself(log: MemoryLog) -> None:
    generation = begin(log, thinking=THINKING, n=2)
    for token in b"<think>a</think>b":
        for sequence_id in generation.sequence_ids:
            generation.advance(Delta(sequence_id=sequence_id, token_id=token))
    for sequence_id in generation.sequence_ids:
        generation.advance(
            Delta(sequence_id=sequence_id, token_id=None, finish_reason=FinishReason.STOP)
        )

    usage = usage_of(generation)
    assert [kind for kind, *_ in output_of(generation)] == ["reasoning"] * 2 + ["message"] * 2
    assert usage.output_tokens_details.reasoning_tokens == 2 * len("<think>a</think>")
