"""Schemas and grammars that explode, sent to the running server (finding A2)."""

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
import pytest

from models.grammars.isolation.child import BUSY_NAME
from tests.acceptance.server import AntiphonServer
from tests.polling import eventually
from tests.regressions.server_requests import case, completed, post, schema_format
from tests.security.test_grammar_processes import name_of, patterns
from tests.security.test_long_text import ALIVE_WITHIN_S, LivenessProbe

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MAX_GROWTH_BYTES = 200 << 20
_ANSWERED_WITHIN_S = 20.0
"""Bound with room for other load; without limits there is no answer in 90 s."""


def all_of(count: int, **fields: Any) -> dict[str, Any]:
    parts = [{"pattern": pattern} for pattern in patterns(count)]
    return schema_format({"type": "string", "allOf": parts, **fields})


def in_allof(count: int) -> dict[str, Any]:
    """Return a format whose `allOf` has references to so many patterns."""
    definitions = {f"d{n}": {"pattern": pattern} for n, pattern in enumerate(patterns(count))}
    parts = [{"$ref": f"#/$defs/{name}"} for name in definitions]
    return schema_format({"$defs": definitions, "type": "string", "allOf": parts})


def doubling(depth: int) -> dict[str, Any]:
    links = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    last = {f"d{depth}": {"type": "string", "pattern": "a+"}}
    return schema_format({"$defs": links | last, "$ref": "#/$defs/d0"})


def across_branches(count: int) -> dict[str, Any]:
    """Return a format whose patterns meet only where branches are chosen: no count sees them."""
    parts = [{"anyOf": [{"properties": {"a": {"pattern": p}}}]} for p in patterns(count)]
    properties = {"a": {"type": "string"}}
    return schema_format({"type": "object", "properties": properties, "allOf": parts})


def grammar(kind: str, value: Any) -> dict[str, Any]:
    return {"grammar": {"type": kind, "value": value}}


def lark(operator: str, count: int) -> dict[str, Any]:
    text = operator.join(f"/{pattern}/" for pattern in patterns(count))
    return grammar("lark", f"start: T\nT: {text}")


def embedded(count: int) -> dict[str, Any]:
    schema = all_of(count)["text"]["format"]["schema"]
    return grammar("lark", f"start: %json {json.dumps(schema)}")


def listed(count: int) -> dict[str, Any]:
    schema = all_of(count)["text"]["format"]["schema"]
    return grammar("llguidance", {"grammars": [{"json_schema": schema}]})


def tool(count: int, *, strict: bool) -> dict[str, Any]:
    schema = all_of(count)["text"]["format"]["schema"]
    parameters = {
        "type": "object",
        "properties": {"a": schema},
        "required": ["a"],
        "additionalProperties": False,
    }
    function = {"type": "function", "name": "f", "parameters": parameters, "strict": strict}
    return {"tools": [function], "tool_choice": "required"}


ATTACKS = {
    **{f"intersections of {n}": all_of(n) for n in (14, 16, 18, 20, 40)},
    "references": in_allof(30),
    "doubling references": doubling(30),
    "across branches": across_branches(30),
    "lark of thirty": lark(" & ", 30),
    "complements": lark(" & ~", 30),
    "a schema in lark": embedded(30),
    "a schema in a list": listed(30),
    "a strict tool": tool(30, strict=True),
    "counts": grammar("regex", "((a{1,50}){1,50}){1,50}"),
    "counts beside others": grammar(
        "regex", "|".join(f"(({x}{{1,40}}){{1,40}}){{1,40}}" for x in LETTERS)
    ),
    "counts in patterns": schema_format(
        {
            "type": "object",
            "properties": {
                x: {"type": "string", "pattern": f"^(({x}{{1,40}}){{1,40}}){{1,40}}$"}
                for x in LETTERS
            },
            "required": list(LETTERS),
        }
    ),
}


class Family:
    """The processes of the API: the servers, their fork servers and the children of these."""

    def __init__(self, server: AntiphonServer) -> None:
        self._api = psutil.Process(server.pid("api"))

    def memory(self) -> int:
        """Return the bytes of memory that all of them have for themselves."""
        return sum(map(_memory, self._api.children(recursive=True)))

    def compiler_seconds(self) -> float:
        """Return the CPU seconds of all compilers that have ended."""
        forkers = [child for child in self._api.children(recursive=True) if _is_forker(child)]
        return sum(float(forker.cpu_times().children_user) for forker in forkers)

    def compilers(self) -> list[psutil.Process]:
        """Return the children that compile a grammar now."""
        processes = self._api.children(recursive=True)
        return [process for process in processes if name_of(process.pid) == BUSY_NAME]


def _is_forker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "models.grammars.isolation.fork_server" in process.cmdline()
    return False


def _memory(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_full_info().uss)
    return 0


@pytest.fixture
def family(server: AntiphonServer) -> Iterator[Family]:
    made = Family(server)
    yield made
    eventually(lambda: not made.compilers())


def judgement(
    server: AntiphonServer, body: dict[str, Any]
) -> tuple[int, dict[str, Any], float] | None:
    """Return the status code, the answer and its seconds; None if the machine was too busy."""
    started = time.monotonic()
    code, answer = post(server, body)
    return None if code == 503 else (code, answer, time.monotonic() - started)


def test_the_case_is_refused_at_once(server: AntiphonServer, family: Family) -> None:
    code, answer, seconds = eventually(lambda: judgement(server, case("schema_intersections")))

    assert (code, answer["error"]["code"]) == (400, "invalid_json_schema")
    assert answer["error"]["param"] == "text.format.schema"
    assert "more than 8 patterns" in answer["error"]["message"]
    assert seconds < 10


@pytest.mark.parametrize("name", ATTACKS)
def test_what_explodes_is_refused_and_names_its_field(
    server: AntiphonServer, family: Family, name: str
) -> None:
    body = {"input": "x", **ATTACKS[name]}

    code, answer, seconds = eventually(lambda: judgement(server, body))

    error = answer["error"]
    assert (code, error["type"]) == (400, "invalid_request_error")
    assert error["param"].startswith(("text.format.schema", "grammar.value", "tools[0].parameters"))
    assert error["code"] in ("invalid_json_schema", "invalid_grammar")
    assert len(error["message"]) < 1024
    assert seconds < _ANSWERED_WITHIN_S


def slow(number: int) -> dict[str, Any]:
    """Return a request that passes all counts and takes seconds to compile."""
    return across_branches(20 + number)


@pytest.mark.nightly
def test_neighbours_are_served_while_many_explode(server: AntiphonServer, family: Family) -> None:
    memory = family.memory()

    with LivenessProbe(server) as probe, ThreadPoolExecutor(8) as attackers:
        attacks = [attackers.submit(post, server, {"input": "x", **slow(n)}) for n in range(12)]
        for number in range(5):
            schema = {"type": "object", "properties": {f"key{number}": {"enum": ["a"]}}}
            completed(server, {"input": "Hi", "max_output_tokens": 40, **schema_format(schema)})
        codes = {attack.result()[0] for attack in attacks}

    assert probe.longest_s < ALIVE_WITHIN_S
    assert codes <= {400, 503}
    eventually(lambda: not family.compilers())
    assert family.memory() - memory < MAX_GROWTH_BYTES


def test_the_work_ends_when_its_client_leaves(server: AntiphonServer, family: Family) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = json.dumps({"input": "x", **across_branches(40)})
    connection.request("POST", "/v1/responses", body, {"Content-Type": "application/json"})
    before = family.compiler_seconds()
    eventually(family.compilers)

    connection.close()

    eventually(lambda: not family.compilers())
    assert family.compiler_seconds() - before < 1.5
