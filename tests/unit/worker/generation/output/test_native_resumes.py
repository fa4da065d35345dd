"""Calls in every notation after an attempt that is lost within them: no event changes."""

import pytest

from models.tools.model_function import ModelFunction
from tests.unit.worker.generation.memory_log import (
    MemoryLog,
    Thinking,
    begin,
    claimed_response,
    take_over,
)
from tests.unit.worker.generation.output.test_generated_calls import feed
from tests.unit.worker.parsing.native_turns import PARAMETERS, NativeTurn, native_turns
from worker.engine.interface import FinishReason
from worker.generation.output.rules import OutputRules

FUNCTIONS = {name: ModelFunction(name=name, client_name=name) for name in PARAMETERS}
KINDS = ("several calls", "text and a call")
TURNS = {f"{turn.family}: {turn.kind}": turn for turn in native_turns() if turn.kind in KINDS}


@pytest.mark.parametrize(
    ("turn", "step"),
    [
        *(pytest.param(turn, 211, id=name) for name, turn in TURNS.items() if "several" in name),
        *(
            pytest.param(turn, 1, id=f"{name}, everywhere", marks=pytest.mark.nightly)
            for name, turn in TURNS.items()
        ),
    ],
)
def test_an_attempt_that_is_lost_changes_no_event(turn: NativeTurn, step: int) -> None:
    thinking = Thinking(
        turn_format=turn.turn_format,
        opens_reasoning=turn.opens_reasoning,
        rules=OutputRules(functions=FUNCTIONS),
    )
    stored, whole, output = claimed_response(), MemoryLog(), turn.turn.encode()
    expected = begin(whole, stored, thinking=thinking)
    feed(expected, output, FinishReason.STOP)
    expected.recorder.flush()

    for lost_at in range(step // 2 + 1, len(output), step):
        log = MemoryLog()
        first = begin(log, stored, thinking=thinking)
        feed(first, output[:lost_at])
        first.recorder.flush()
        second, tokens = take_over(log, first, thinking=thinking)
        second.resume_logged(tokens)
        feed(second, output[len(tokens) :], FinishReason.STOP)
        second.recorder.flush()

        assert log.events == whole.events, lost_at
        assert second.usage() == expected.usage()
