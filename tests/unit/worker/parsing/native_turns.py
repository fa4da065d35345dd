"""Turns as models of many families write them, and what must come out of each."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from models.grammars.calls.argument_types import argument_types
from models.profile.formats.table import GENERIC, find_format
from models.profile.thinking import ThinkingStyle
from worker.parsing.segments import Kind
from worker.parsing.turns import TurnFormat

_CASES = Path(__file__).parents[3] / "cases/native_formats.json"

PARAMETERS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "days": {"type": "integer"},
            "exact": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "more": {"type": "object", "properties": {"k": {"type": "object"}}},
        },
    },
    "add_event": {"type": "object", "properties": {}},
}


@dataclass(frozen=True)
class NativeTurn:
    """A turn in the notation of one family."""

    family: str
    kind: str
    marks: str
    """Texts by which the family's chat template is known."""
    turn: str
    opens_reasoning: bool
    reasoning: str
    answer: str
    calls: list[tuple[str, Any]]

    @property
    def turn_format(self) -> TurnFormat:
        style = ThinkingStyle(self.marks)
        return TurnFormat(
            think_tags=style.tags,
            answer_tags=style.answer_tags,
            call_format=find_format(self.marks) or GENERIC,
            functions=frozenset(PARAMETERS),
            types={name: argument_types(schema) for name, schema in PARAMETERS.items()},
        )


@cache
def native_turns() -> list[NativeTurn]:
    return [
        NativeTurn(**case | {"calls": [(name, arguments) for name, arguments in case["calls"]]})
        for case in json.loads(_CASES.read_bytes())
    ]


@dataclass
class ReadTurn:
    """What has been read; arguments are texts."""

    calls: list[tuple[str, str]]
    reasoning: str
    answer: str
    num_ended: int


def read(turn_format: TurnFormat, *parts: str, opens_reasoning: bool = False) -> ReadTurn:
    """Read a turn that comes in some parts; the texts of all segments must be that of the turn."""
    parser = turn_format.parser(opens_reasoning=opens_reasoning)
    segments = [segment for part in parts for segment in parser.add(part)] + parser.flush()
    assert "".join(segment.text for segment in segments) == "".join(parts)
    turn = ReadTurn([], "", "", 0)
    for segment in segments:
        match segment.kind:
            case Kind.CALL_BEGIN:
                turn.calls.append((segment.name, ""))
            case Kind.ARGUMENTS:
                name, arguments = turn.calls.pop()
                added = segment.text if segment.json is None else segment.json
                turn.calls.append((name, arguments + added))
            case Kind.CALL_END:
                turn.num_ended += 1
            case Kind.REASONING:
                turn.reasoning += segment.text
            case Kind.ANSWER | Kind.CALL:
                turn.answer += segment.text
    return turn
