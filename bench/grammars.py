"""Benchmark of the checks of grammars before a request is accepted: `python -m bench.grammars`.

A schema is new each time, compiled in a child process and, in turn with that, in this process, as
before there were children; then its cached verdict is read.
"""

import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from transformers import AutoTokenizer

from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from models.grammars.compile import schema_grammar
from models.grammars.isolation.loaded_tokenizer import LoadedTokenizer
from models.grammars.isolation.pool import GrammarPool
from models.grammars.isolation.tasks import follow
from models.grammars.isolation.tokenizer_file import TokenizerFile
from models.grammars.tokenizer import TOKEN_SLICES, rename_special_tokens
from models.grammars.validate import GrammarChecker
from models.settings import DEFAULT_MODEL

PARAM = "text.format.schema"
STEPS = ("validated and rewritten", "new, in a child", "new, in this process", "cached")
GOALS = {"cached": Goal(at_most=3), "new, in a child": Goal(at_most=30)}


def ordinary_schema(number: int) -> dict[str, Any]:
    """Return a schema of some ten fields, another one for each number."""
    text = {"type": "string", "maxLength": 200}
    address = {
        "type": "object",
        "properties": {"street": text, "city": text, "postcode": {"pattern": "^[0-9]{5}$"}},
        "required": ["street", "city"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "name": text,
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "kind": {"enum": ["person", "company", f"kind {number}"]},
            "tags": {"type": "array", "items": text, "maxItems": 10},
            "address": {"anyOf": [address, {"type": "null"}]},
            "created": {"type": "string", "format": "date-time"},
        },
        "required": ["name", "kind", "address"],
        "additionalProperties": False,
    }


def timed_ms(work: Callable[[], object]) -> float:
    """Return how many milliseconds a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    per_round: Annotated[int, typer.Option(min=1, help="Schemas of each round.")] = 100,
    weights: Annotated[Path, typer.Option(help="Folder of a tokenizer.")] = Path(
        f".antiphon/weights/{DEFAULT_MODEL}"
    ),
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure the check of a schema: new and in a child, new and in this process, and cached."""
    command = shlex.join(["python", "-m", "bench.grammars", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    loader: Any = AutoTokenizer
    tokenizer = loader.from_pretrained(weights, local_files_only=True)
    file = TokenizerFile(rename_special_tokens(tokenizer), tokenizer.eos_token_id, TOKEN_SLICES)
    loaded = LoadedTokenizer(os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0))
    pool = GrammarPool()
    checker = GrammarChecker(tokenizer, pool)
    checker.check(schema_grammar(ordinary_schema(-1), param=PARAM), param=PARAM)
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        numbers = range(number * per_round, (number + 1) * per_round)
        for name, times in _run(checker, loaded, numbers).items():
            found.setdefault(name, []).append(statistics.median(times))
    pool.stop()
    measures = [
        Measure(name=f"{name}: p50 of {per_round}, ms", rounds=times, goal=GOALS.get(name))
        for name, times in found.items()
    ]
    publish("Checks of grammars", circumstances, measures, results)


def _run(
    checker: GrammarChecker, loaded: LoadedTokenizer, numbers: range
) -> dict[str, list[float]]:
    """Return the milliseconds of each step for every schema."""
    times: dict[str, list[float]] = {name: [] for name in STEPS}
    for number in numbers:
        for name, step_ms in zip(
            STEPS, _step(checker, loaded, ordinary_schema(number)), strict=True
        ):
            times[name].append(step_ms)
    return times


def _step(
    checker: GrammarChecker, loaded: LoadedTokenizer, schema: dict[str, Any]
) -> Iterator[float]:
    """Yield the milliseconds of each of `STEPS` for one schema."""
    yield timed_ms(lambda: schema_grammar(schema, param=PARAM))
    grammar = schema_grammar(schema, param=PARAM)
    yield timed_ms(lambda: checker.check(grammar, param=PARAM))
    yield timed_ms(lambda: follow(loaded, grammar))
    yield timed_ms(lambda: checker.check(schema_grammar(schema, param=PARAM), param=PARAM))


if __name__ == "__main__":
    typer.run(main)
