"""Turns in the notations of model families: their events, and resuming within them."""

import json

import pytest

from models.tools.model_function import ModelFunction
from tests.unit.worker.generation.memory_log import (
    MemoryLog,
    Thinking,
    begin,
    claimed_response,
    take_over,
)
from tests.unit.worker.generation.output.test_generated_calls import feed, output_of
from tests.unit.worker.parsing.native_turns import PARAMETERS, NativeTurn, native_turns
from worker.engine.interface import FinishReason
from worker.generation.output.rules import OutputRules

BY_NAME = {name: ModelFunction(name=name, client_name=name) for name in PARAMETERS}
TURNS = [turn for turn in native_turns() if turn.kind == "one call"]
_STEP = 11


def thinking_of(turn: NativeTurn, max_calls: int | None = None) -> Thinking:
    return Thinking(
        turn_format=turn.turn_format,
        opens_reasoning=turn.opens_reasoning,
        rules=OutputRules(functions=BY_NAME, max_calls=max_calls),
    )


@pytest.mark.parametrize("turn", TURNS, ids=[turn.family for turn in TURNS])
def test_an_attempt_that_is_lost_changes_no_event(turn: NativeTurn) -> None:
    thinking, tokens = thinking_of(turn), turn.turn.encode()
    stored, whole = claimed_response(), MemoryLog()
    expected = begin(whole, stored, thinking=thinking)
    feed(expected, tokens, FinishReason.STOP)
    expected.recorder.flush()

    [call] = [item for item in output_of(expected) if item["type"] == "function_call"]
    assert (call["name"], json.loads(call["arguments"])) == turn.calls[0]
    for lost_at in range(_STEP, len(tokens), _STEP):
        log = MemoryLog()
        first = begin(log, stored, thinking=thinking)
        feed(first, tokens[:lost_at])
        first.recorder.flush()
        second, logged = take_over(log, first, thinking=thinking)
        second.resume_logged(logged)
        feed(second, tokens[len(logged) :], FinishReason.STOP)
        second.recorder.flush()

        assert log.events == whole.events, lost_at
        assert second.usage() == expected.usage()


@pytest.mark.parametrize("turn", TURNS, ids=[turn.family for turn in TURNS])
def test_arguments_are_streamed(turn: NativeTurn) -> None:
    log = MemoryLog()
    generation = begin(log, thinking=thinking_of(turn))

    feed(generation, turn.turn.encode(), FinishReason.STOP)
    generation.recorder.flush()

    types = log.types(generation.record.id)
    # The text of the argument is passed on while it is written.
    assert types.count("function_call_arguments.delta") >= len(turn.calls[0][1]["place"])
    assert types.count("function_call_arguments.done") == 1


def test_a_call_beyond_the_limit_is_not_begun() -> None:
    [turn] = [
        turn
        for turn in native_turns()
        if turn.kind == "several calls" and turn.family.startswith("GLM 4.5")
    ]
    generation = begin(MemoryLog(), thinking=thinking_of(turn, max_calls=1))

    assert feed(generation, turn.turn.encode())

    calls = [item for item in output_of(generation) if item["type"] == "function_call"]
    assert [call["name"] for call in calls] == ["weather"]
