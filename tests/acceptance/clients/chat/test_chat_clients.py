"""Client programs that complete chats, with the defaults of their libraries.

A scenario returns the same fields for every client; a client that has none for it is not listed.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.clients.programs import run_program
from tests.acceptance.server import AntiphonServer, make_in

FOLDER = Path(__file__).parent
_CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}
_SCRIPT = f"<tool_call>\n{json.dumps(_CALL)}\n</tool_call>\fIt rains in Paris."

CHATS = [
    "with_openai.py",
    "with_openai.mjs",
    "with_ai_sdk.mjs",
    "with_langchain.py",
    "with_langchain.mjs",
    "with_litellm.py",
    "with_llm.py",
    "with_open_webui.py",
    "with_pydantic_ai.py",
]
OBJECTS = [
    *((program, "structured") for program in [*CHATS, "with_instructor.py"]),
    ("with_instructor.py", "partial"),
    ("with_pydantic_ai.py", "native"),
]

Run = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AntiphonServer]:
    """Start a server whose model calls a function without being made to."""
    settings = {"engine": "scripted", "script_text": _SCRIPT}
    started = make_in(tmp_path_factory.mktemp("scripted") / "data", None, settings)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def run(server: AntiphonServer, scripted: AntiphonServer) -> Run:
    """Return a function to a scenario's result; every program runs once, with all its scenarios."""
    results: dict[str, dict[str, Any]] = {}

    def result_of(program: str, scenario: str) -> Any:
        if program not in results:
            urls = [f"{started.url}/v1" for started in (server, scripted)]
            results[program] = run_program(FOLDER / program, *urls)
        result = results[program][scenario]
        assert "error" not in result, result["error"]
        return result

    return result_of


@pytest.mark.parametrize("program", CHATS)
def test_a_chat(run: Run, program: str) -> None:
    assert run(program, "chat")["text"]


@pytest.mark.parametrize("program", CHATS)
def test_a_stream(run: Run, program: str) -> None:
    result = run(program, "stream")

    assert len(result["deltas"]) > 1
    assert "".join(result["deltas"]) == result["text"]


@pytest.mark.parametrize(("program", "scenario"), OBJECTS)
def test_a_structured_output(run: Run, program: str, scenario: str) -> None:
    value = run(program, scenario)["value"]

    assert set(value) == {"name", "population"}
    assert isinstance(value["name"], str)
    assert isinstance(value["population"], int)


@pytest.mark.parametrize("program", CHATS)
def test_several_turns(run: Run, program: str) -> None:
    texts = run(program, "turns")["texts"]

    assert len(texts) == 2
    assert all(texts)


@pytest.mark.parametrize("program", CHATS)
def test_a_tool_round_trip(run: Run, program: str) -> None:
    result = run(program, "tool")

    assert list(result["arguments"]) == ["city"]
    assert isinstance(result["arguments"]["city"], str)
    assert result["text"]
