"""Grammars that are expensive to compile end a child process, and nothing else (finding A2)."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import llguidance
import pytest

from models.errors import InvalidRequestError, OverloadedError
from models.grammars.isolation.bounds import Lane, PoolBounds
from models.grammars.isolation.child import BUSY_NAME
from models.grammars.isolation.pool import (
    AbandonedError,
    GrammarPool,
    Task,
    TooExpensiveError,
)
from models.grammars.validate import GrammarChecker
from tests.polling import PATIENCE_S, eventually
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

ROOT = Path(__file__).parents[2]
BRIEF = PoolBounds(lanes=(Lane(max_cpu_s=0.2, num_places=1), Lane(max_cpu_s=0.4, num_places=1)))
ENDLESS = PoolBounds(lanes=(Lane(max_cpu_s=100, num_places=2),), max_memory_bytes=8 << 30)
_OWNER = """
import sys
from models.grammars.isolation.child import BUSY_NAME
from models.grammars.isolation.pool import GrammarPool, Task
from tests.security.test_grammar_processes import ENDLESS, intersection
GrammarPool(ENDLESS).run(Task(name="warnings", grammar=intersection(30)))
"""


def patterns(count: int) -> list[str]:
    return [f".*{chr(97 + number % 26)}{number}.*" for number in range(count)]


def schema_grammar(schema: object) -> str:
    grammar: str = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
    return grammar


def intersection(count: int) -> str:
    """Return the grammar of a schema with so many intersected patterns, past all checks of ours."""
    return schema_grammar(
        {"type": "string", "allOf": [{"pattern": pattern} for pattern in patterns(count)]}
    )


def references(depth: int) -> str:
    """Return the grammar of a schema in which `allOf` doubles at every reference."""
    definitions: dict[str, object] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)
    }
    definitions[f"d{depth}"] = {"type": "string", "pattern": "a+"}
    return schema_grammar({"$defs": definitions, "$ref": "#/$defs/d0"})


def regex(value: str) -> str:
    grammar: str = llguidance.LLMatcher.grammar_from_regex(value)
    return grammar


def terminals(count: int, operator: str = "&") -> str:
    text = f" {operator} ".join(f"/{pattern}/" for pattern in patterns(count))
    return json.dumps({"grammars": [{"lark_grammar": f"start: T\nT: {text}"}]})


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def compilers_of(pid: int) -> list[int]:
    """Return the children of a fork server that compile; spare ones wait beside them."""
    return [child for child in children_of(pid) if name_of(child) == BUSY_NAME]


def name_of(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_bytes().strip()
    return b""


def server_pid(pool: GrammarPool) -> int:
    assert pool.server.pid is not None
    return pool.server.pid


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _are_dead(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))


@pytest.fixture
def pool() -> Iterator[GrammarPool]:
    made = GrammarPool(BRIEF)
    yield made
    made.stop()


@pytest.fixture
def endless() -> Iterator[GrammarPool]:
    made = GrammarPool(ENDLESS)
    yield made
    made.stop()


class Background:
    """Thread that compiles a grammar in a pool that lets it take forever."""

    def __init__(self, pool: GrammarPool) -> None:
        self.is_abandoned = threading.Event()
        self._pool = pool
        self._executor = ThreadPoolExecutor(1)
        self.outcome = self._executor.submit(self._run)
        self._executor.shutdown(wait=False)

    def _run(self) -> None:
        task = Task(name="warnings", grammar=intersection(30))
        self._pool.run(task, is_abandoned=self.is_abandoned.is_set)

    def child(self) -> int:
        """Return the process id of the child once it compiles."""

        def find() -> int | None:
            pid = self._pool.server.pid
            return next(iter(compilers_of(pid)), None) if pid and is_alive(pid) else None

        return eventually(find)


@pytest.mark.parametrize(
    "grammar",
    [
        *(intersection(count) for count in (16, 20, 30, 40)),
        references(30),
        schema_grammar({"properties": {"a": {"allOf": [{"pattern": p} for p in patterns(30)]}}}),
        schema_grammar({"allOf": [{"not": {"pattern": p}} for p in patterns(30)]}),
        regex("|".join(f"(({char}{{1,50}}){{1,50}}){{1,50}}" for char in "abcdefgh")),
        terminals(30),
        terminals(40, "& ~"),
    ],
)
def test_what_multiplies_is_refused_by_bounds_on_a_child(pool: GrammarPool, grammar: str) -> None:
    checker = GrammarChecker(tiny_tokenizer(), pool)

    with pytest.raises(InvalidRequestError) as raised:
        checker.check(grammar, param="text.format.schema")

    assert raised.value.param == "text.format.schema"
    assert len(raised.value.message) < 1024
    eventually(lambda: not compilers_of(server_pid(pool)))


def test_the_limit_that_is_exceeded_is_named() -> None:
    for bounds, limit in [
        (BRIEF, "more than 0.4 s of CPU time"),
        (PoolBounds(max_memory_bytes=32 << 20), "more than 32 MiB of memory"),
    ]:
        pool = GrammarPool(bounds)
        with pytest.raises(TooExpensiveError, match=limit):
            pool.run(Task(name="warnings", grammar=intersection(20)))
        pool.stop()


def test_a_child_is_killed_when_its_client_leaves(endless: GrammarPool) -> None:
    running = Background(endless)
    child = running.child()

    running.is_abandoned.set()

    with pytest.raises(AbandonedError):
        running.outcome.result(PATIENCE_S)
    eventually(lambda: not is_alive(child))


def test_neighbours_are_served_while_places_for_expensive_grammars_are_taken() -> None:
    lanes = (Lane(max_cpu_s=0.3, num_places=1), Lane(max_cpu_s=100, num_places=1))
    bounds = PoolBounds(lanes=lanes, max_memory_bytes=8 << 30, max_child_s=100, max_wait_s=100)
    pool = GrammarPool(bounds)
    checker = GrammarChecker(tiny_tokenizer(), pool)
    running = [Background(pool) for _ in range(3)]
    running[0].child()

    for number in range(20):
        schema = {"type": "object", "properties": {f"key{number}": {"type": "string"}}}
        checker.check(schema_grammar(schema), param="text.format.schema")

    assert not any(task.outcome.done() for task in running)
    for task in running:
        task.is_abandoned.set()
    for task in running:
        with pytest.raises(AbandonedError):
            task.outcome.result(PATIENCE_S)
    pool.stop()


def test_who_finds_no_place_is_asked_to_try_again() -> None:
    lanes = (Lane(max_cpu_s=100, num_places=1),)
    pool = GrammarPool(PoolBounds(lanes=lanes, max_memory_bytes=8 << 30, max_wait_s=0.1))
    running = Background(pool)
    running.child()

    with pytest.raises(OverloadedError, match="too many grammars"):
        pool.run(Task(name="warnings", grammar=intersection(2)))

    running.is_abandoned.set()
    with pytest.raises(AbandonedError):
        running.outcome.result(PATIENCE_S)
    pool.stop()


def test_a_killed_fork_server_is_replaced(pool: GrammarPool) -> None:
    checker = GrammarChecker(tiny_tokenizer(), pool)
    for number in range(3):
        checker.check(regex(f"a{number}"), param="grammar.value")
        os.kill(server_pid(pool), signal.SIGKILL)

    with pytest.raises(InvalidRequestError):
        checker.check(intersection(30), param="grammar.value")


def test_a_task_outlives_the_fork_server_that_it_began_with(endless: GrammarPool) -> None:
    running = Background(endless)
    child, server = running.child(), server_pid(endless)

    os.kill(server, signal.SIGKILL)

    eventually(lambda: not is_alive(child))
    assert eventually(running.child) != child
    assert server_pid(endless) != server
    running.is_abandoned.set()
    with pytest.raises(AbandonedError):
        running.outcome.result(PATIENCE_S)


def test_a_killed_child_fails_its_own_task_alone(endless: GrammarPool) -> None:
    running = Background(endless)

    os.kill(running.child(), signal.SIGKILL)

    with pytest.raises(OverloadedError):
        running.outcome.result(PATIENCE_S)
    assert endless.run(Task(name="warnings", grammar=intersection(2))) == []


def test_nothing_is_left_of_a_process_that_was_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], cwd=ROOT)
    [server] = eventually(lambda: children_of(owner.pid))
    [child] = eventually(lambda: compilers_of(server))
    [spare] = eventually(lambda: set(children_of(server)) - {child})

    owner.kill()
    owner.wait()

    eventually(lambda: not is_alive(server))
    eventually(lambda: not is_alive(child))
    eventually(lambda: not is_alive(spare))


def test_a_killed_spare_child_is_replaced(pool: GrammarPool) -> None:
    checker = GrammarChecker(tiny_tokenizer(), pool)
    for number in range(3):
        checker.check(regex(f"a{number}"), param="grammar.value")
        eventually(lambda: not compilers_of(server_pid(pool)))
        spares = eventually(lambda: children_of(server_pid(pool)))
        for spare in spares:
            os.kill(spare, signal.SIGKILL)
        eventually(partial(_are_dead, spares))


def test_children_know_no_secrets(pool: GrammarPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@host")
    pool.run(Task(name="warnings", grammar=intersection(2)))

    assert b"DATABASE_URL" not in Path(f"/proc/{server_pid(pool)}/environ").read_bytes()


def test_a_grammar_is_compiled_once_whoever_asks(pool: GrammarPool) -> None:
    checker = GrammarChecker(tiny_tokenizer(), pool)
    schema = {"type": "object", "properties": {"key": {"type": "string"}}}
    checker.check(schema_grammar(schema), param="text.format.schema")
    pool.stop()

    checker.check(schema_grammar(schema), param="grammar.value")

    assert pool.server.pid is None


def test_an_expensive_grammar_costs_this_process_nothing(pool: GrammarPool) -> None:
    checker = GrammarChecker(tiny_tokenizer(), pool)
    checker.check(regex("a"), param="grammar.value")
    started = time.process_time()

    with pytest.raises(InvalidRequestError):
        checker.check(intersection(20), param="text.format.schema")

    assert time.process_time() - started < 0.2
