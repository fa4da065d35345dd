"""Log probabilities, from the engine's deltas to events and items."""

from typing import Any

import orjson
import pytest

from tests.unit.worker.generation.memory_log import MemoryLog, begin, take_over
from worker.engine.interface import Delta, FinishReason, Logprobs
from worker.engine.scripted import ScriptedTokenizer
from worker.generation.generation import Generation
from worker.generation.output.logprobs import LogprobFormatter


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def feed(generation: Generation, tokens: bytes, end: FinishReason | None = None) -> None:
    """Deliver bytes as tokens, each with minus its value as log probability and an alternative."""
    for position, token in enumerate(tokens, start=1):
        generation.advance(
            Delta(
                sequence_id=generation.sequence_ids[0],
                token_id=token,
                logprobs=Logprobs(-float(token), ((token + 1, -0.5),)),
                finish_reason=end if position == len(tokens) else None,
            )
        )


def shown(log: MemoryLog, generation: Generation) -> list[tuple[str, str]]:
    """Return the text of each delta, and the text of the tokens in its log probabilities."""
    generation.recorder.flush()
    events = [orjson.loads(event.data) for event in log.events[generation.record.id]]
    return [
        (event["delta"], text_of(event["logprobs"]))
        for event in events
        if event["type"] == "response.output_text.delta"
    ]


def text_of(logprobs: list[dict[str, Any]]) -> str:
    return b"".join(bytes(logprob["bytes"]) for logprob in logprobs).decode()


def test_a_token_has_its_text_and_bytes_and_the_likeliest_beside_it(log: MemoryLog) -> None:
    generation = begin(log)

    feed(generation, b"a", FinishReason.STOP)

    [item] = generation.recorder.finish(generation.cause).output
    assert item["content"][0]["logprobs"] == [
        {
            "token": "a",
            "logprob": -97.0,
            "bytes": [97],
            "top_logprobs": [{"token": "b", "logprob": -0.5, "bytes": [98]}],
        }
    ]


def test_a_delta_has_those_of_the_tokens_in_it(log: MemoryLog) -> None:
    generation = begin(log, stop=["dx"])

    feed(generation, "aßcd".encode(), FinishReason.LENGTH)

    assert shown(log, generation) == [("a", "a"), ("ß", "ß"), ("c", "c"), ("d", "d")]


def test_the_events_of_the_end_have_all(log: MemoryLog) -> None:
    generation = begin(log)
    feed(generation, b"abc", FinishReason.STOP)

    ending = generation.recorder.finish(generation.cause)

    events = {event["type"]: event for event in map(orjson.loads, ending.events)}
    assert text_of(events["response.output_text.done"]["logprobs"]) == "abc"
    assert text_of(events["response.content_part.done"]["part"]["logprobs"]) == "abc"
    item = events["response.output_item.done"]["item"]
    assert item == ending.output[0] == events["response.completed"]["response"]["output"][0]


def test_a_stop_string_has_none(log: MemoryLog) -> None:
    generation = begin(log, stop=["END"])

    feed(generation, b"the EN end END")

    assert "".join(text for text, _ in shown(log, generation)) == "the EN end "
    assert "".join(tokens for _, tokens in shown(log, generation)) == "the EN end "


@pytest.mark.parametrize("num_before", range(12))
def test_a_second_attempt_shows_each_once(log: MemoryLog, num_before: int) -> None:
    tokens = "aaEß aab€END".encode()
    first = begin(log, stop=["aab€END!", "ßx"])
    feed(first, tokens[:num_before])
    first.recorder.flush()

    second, found = take_over(log, first, stop=["aab€END!", "ßx"])
    second.resume_logged(found)
    feed(second, tokens[len(found) :], FinishReason.STOP)

    [item] = second.recorder.finish(second.cause).output
    assert item["content"][0]["text"] == tokens.decode()
    assert text_of(item["content"][0]["logprobs"]) == tokens.decode()


def test_without_a_log_such_a_response_is_generated_again(log: MemoryLog) -> None:
    generation = begin(log)

    feed(generation, b"a")

    assert generation.checkpointed_record() is None


def test_half_a_character_is_told_by_its_bytes() -> None:
    formatter = LogprobFormatter(lambda: [b"\xe2", b"a", b"\0"], ScriptedTokenizer())

    formatted = formatter.format(0, Logprobs(-1.0, ((1, -0.1), (256, -9.0), (2, -9999.0))))

    assert (formatted.token, formatted.bytes) == ("\N{REPLACEMENT CHARACTER}", [0xE2])
    assert [top.token for top in formatted.top_logprobs[:2]] == ["a", "This"]
    # Postgres cannot store this character.
    assert formatted.top_logprobs[2].token == "\N{REPLACEMENT CHARACTER}"
    assert formatted.top_logprobs[2].bytes == [0]
