"""Grammars built to exhaust time or memory: answered within one second and 100 MB."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 120
MAX_GROWTH_MB = 100
MAX_CPU_S = 3.0
"""CPU time, since others may use the cores; a fast machine takes less than a third of it."""

Outcome = tuple[str, int, float]
"""Outcome of a check: the message, the memory growth in KiB and the CPU time in seconds."""

_ROOT = Path(__file__).parents[4]
_CHILD = """
import json, os, resource, sys, time
from models.errors import InvalidRequestError
from models.grammars.compile import grammar_of
from models.grammars.isolation.loaded_tokenizer import LoadedTokenizer
from models.grammars.isolation.tasks import follow
from models.grammars.isolation.tokenizer_file import TokenizerFile
from models.grammars.tokenizer import TOKEN_SLICES
from models.schemas.request.parameters import GenerationParameters
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

tokenizer = tiny_tokenizer()
tokenizer.add_tokens(["a" * 16])  # vocabularies have such: some read many bytes at a time
file = TokenizerFile(tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id, TOKEN_SLICES)
loaded = LoadedTokenizer(os.pread(file.fileno(), 1 << 30, 0))
follow(loaded, 'start: "a"')

def answer(grammar):
    try:
        given = GenerationParameters.model_validate({"grammar": grammar})
        return follow(loaded, grammar_of(given)) or "accepted"
    except InvalidRequestError as error:
        return error.message

for grammar in json.load(sys.stdin):
    if os.fork():  # a process each, so that none profits from memory that another took
        os.wait()
        continue
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    said = answer(grammar)
    after, ended = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    print(json.dumps([said, after - before, ended - began]), flush=True)
    os._exit(0)
"""


def regex(value: str) -> dict[str, Any]:
    return {"type": "regex", "value": value}


def lark(value: str) -> dict[str, Any]:
    return {"type": "lark", "value": value}


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "value": value}


def properties(count: int, value: dict[str, Any]) -> dict[str, Any]:
    return schema({"properties": {f"p{n}": value for n in range(count)}})


_ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "nested counts": (regex("((a{1000}){1000}){1000}"), "more than 100000 times"),
    "large count": (regex("a{1000000000}"), "more than 100000 times"),
    "two counts": (regex("(a{1,1000}){1,1000}"), "more than 100000 times"),
    "three counts": (regex("((a{1,100}){1,100}){1,100}"), "more than 100000 times"),
    "bounded repetition": (regex("[a-z]{0,5000}"), "accepted"),
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
    "arrays of objects": (
        schema({"minItems": 10_000, "maxItems": 10_000, "items": {"type": "object"}}),
        "accepted",
    ),
    "a tree": (
        schema({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}),
        "accepted",
    ),
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


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps([grammar for grammar, _ in _ANSWERS.values()]),
        capture_output=True,
        text=True,
        cwd=_ROOT,
        timeout=DEADLINE_S,
        check=True,
    )
    return dict(zip(_ANSWERS, map(json.loads, child.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", _ANSWERS)
def test_a_grammar_made_to_exhaust_is_answered_within_bounds(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    said, growth, cpu_s = outcomes[name]

    assert _ANSWERS[name][1] in said
    assert growth < MAX_GROWTH_MB * 1024
    assert cpu_s < MAX_CPU_S
