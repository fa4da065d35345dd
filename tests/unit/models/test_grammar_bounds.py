"""Grammars made to take all time or all memory are answered, soon and within bounds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 60
"""Generous: starting Python and importing the libraries takes most of what is needed."""
MAX_GROWTH_MB = 100

_ROOT = Path(__file__).parents[3]
_CHILD = """
import json, resource, sys
from models.errors import InvalidRequestError
from models.grammar import grammar_of
from models.grammar_check import GrammarChecker
from models.wire.request import GenerationParameters
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

checker = GrammarChecker(tiny_tokenizer())
checker.check('start: "a"', param="grammar.value")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
answer = "accepted"
try:
    given = GenerationParameters.model_validate({"grammar": json.load(sys.stdin)})
    checker.check(grammar_of(given), param="grammar.value")
except InvalidRequestError as error:
    answer = error.message
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([answer, after - before]))
"""


def regex(value: str) -> dict[str, Any]:
    return {"type": "regex", "value": value}


def lark(value: str) -> dict[str, Any]:
    return {"type": "lark", "value": value}


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "value": value}


def properties(count: int, each: dict[str, Any]) -> dict[str, Any]:
    return schema({"properties": {f"p{n}": each for n in range(count)}})


_ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "nested counts": (regex("((a{1000}){1000}){1000}"), "too many expressions"),
    "large count": (regex("a{1000000000}"), "too many expressions"),
    "two counts": (regex("(a{1,1000}){1,1000}"), "accepted"),
    "exponential states": (regex("[ab]*a[ab]{30}"), "accepted"),
    "nested stars": (regex("(a+)+b"), "accepted"),
    "long": (regex("a" * 32_000), "accepted"),
    "brackets": (regex("(" * 30_000), "invalid regex"),
    "look-around": (regex("(?=a)b"), "look-around"),
    "back reference": (regex(r"(a)\1"), "backreferences"),
    "nothing": (regex("[a&&b]"), "no output that it allows"),
    "itself": (schema({"$ref": "#"}), "no output that it allows"),
    "itself by another": (
        schema(
            {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
        ),
        "no output that it allows",
    ),
    "long strings": (schema({"type": "string", "maxLength": 10**9}), "accepted"),
    "long arrays": (schema({"type": "array", "minItems": 10**9}), "minItems is more than"),
    "patterns": (properties(1001, {"pattern": "a+"}), "more than 1000 patterns"),
    "many properties": (properties(2000, {"type": "string"}), "accepted"),
    "too many properties": (properties(5001, {}), "more than 2000 properties"),
    "many values": (schema({"enum": [f"w{n}" for n in range(20_000)]}), "accepted"),
    "too many values": (schema({"enum": [f"w{n}" for n in range(60_000)]}), "too big"),
    "nesting": (schema('{"items":' * 1500 + "{}" + "}" * 1500), "not valid JSON"),
    "optional parts": (lark("start: " + '"a"? ' * 5000), "items"),
    "endless rule": (lark("start: start"), "no output that it allows"),
    "ambiguous": (lark('start: e\ne: e e e | e e | "a" | "b" |'), "accepted"),
}


@pytest.mark.parametrize(("grammar", "answer"), _ANSWERS.values(), ids=_ANSWERS)
def test_a_grammar_made_to_exhaust_is_answered_within_bounds(
    grammar: dict[str, Any], answer: str
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps(grammar),
        capture_output=True,
        text=True,
        cwd=_ROOT,
        timeout=DEADLINE_S,
        check=True,
    )

    said, growth = json.loads(child.stdout)
    assert answer in said
    assert growth < MAX_GROWTH_MB * 1024
