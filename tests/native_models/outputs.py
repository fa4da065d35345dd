"""Checks of responses and streams against the turn that a model wrote."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tests.unit.worker.parsing.native_turns import PARAMETERS, NativeTurn

TOOLS = [
    {"type": "function", "name": name, "parameters": schema} for name, schema in PARAMETERS.items()
]

_DELTAS = {
    "response.function_call_arguments.delta",
    "response.output_text.delta",
    "response.reasoning.delta",
    "response.reasoning_text.delta",
}


def check_output(output: Sequence[dict[str, Any]], turn: NativeTurn) -> None:
    """Check that an output has the calls, the reasoning and the answer of a turn."""
    calls = [item for item in output if item["type"] == "function_call"]
    found = [(call["name"], json.loads(call["arguments"])) for call in calls]
    assert (turn.family, found) == (turn.family, turn.calls)
    assert {item["status"] for item in output} == {"completed"}, turn
    texts = {kind: _text(output, kind) for kind in ("reasoning", "message")}
    assert texts == {"reasoning": turn.reasoning, "message": turn.answer}, turn


def check_events(events: Sequence[dict[str, Any]], output: Sequence[dict[str, Any]]) -> None:
    """Check that the events of a stream are numbered, and tell the same as the output."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == list(output)
    deltas: defaultdict[int, str] = defaultdict(str)
    for event in events:
        if event["type"] in _DELTAS:
            deltas[event["output_index"]] += event["delta"]
    assert [deltas[index] for index in range(len(output))] == [
        item["arguments"]
        if item["type"] == "function_call"
        else _text([item], item["type"], raw=True)
        for item in output
    ]


def _text(output: Sequence[dict[str, Any]], kind: str, *, raw: bool = False) -> str:
    parts = (part for item in output if item["type"] == kind for part in item["content"])
    text = "".join(part["text"] for part in parts)
    return text if raw else text.strip()
