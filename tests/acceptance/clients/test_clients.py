"""Client programs on the official clients, and on frameworks that use them.

They run in environments of their own, which `make test` installs (`.venv-clients` and
`node_modules`). A scenario returns the same fields for every client.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.acceptance.clients.programs import HERE, run_program
from tests.acceptance.server import AntiphonServer, make_in

PROGRAMS = [
    "with_openai.py",
    "with_openai.mjs",
    "with_agents.py",
    "with_agents.mjs",
    "with_agents_websocket.py",
    "with_agents_websocket.mjs",
    "with_ai_sdk.mjs",
    "with_langchain.py",
    "with_langchain.mjs",
    "with_litellm.py",
    "with_open_responses.mjs",
    "with_pydantic_ai.py",
]

UNCHAINED = ["with_open_responses.mjs"]  # it has no `previous_response_id`
TURNS_PROGRAMS = [
    "with_agents.mjs",
    "with_agents_websocket.mjs",
    "with_ai_sdk.mjs",
    "with_langchain.mjs",
    "with_open_responses.mjs",
]
OBJECTS = [
    *((program, "structured") for program in PROGRAMS),
    ("with_ai_sdk.mjs", "object"),
    ("with_open_responses.mjs", "object"),
]

SOCKET_PROGRAMS = ["with_websocket.py", "with_websocket.mjs"]

THINKING_PROGRAMS = [
    "with_openai.mjs",
    "with_agents.mjs",
    "with_agents_websocket.mjs",
    "with_open_responses.mjs",
]
SUMMARY_PROGRAMS = ["with_ai_sdk.mjs", "with_langchain.mjs"]

_THOUGHT = "The weather is asked for. So I look it up."
_CALL = json.dumps({"name": "get_weather", "arguments": {"city": "Paris"}})
_TURNS = [
    f"<think>\n{_THOUGHT}\n</think>\n\n<tool_call>\n{_CALL}\n</tool_call>",
    "<think>\nIt rains. So I say it.\n</think>\n\nIt rains in Paris.",
]

Run = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AntiphonServer]:
    """Start a server whose model thinks, calls a function, thinks again and answers."""
    settings = {"engine": "scripted", "script_text": "\f".join(_TURNS), "script_interval_ms": "4"}
    started = make_in(tmp_path_factory.mktemp("thinking") / "data", None, settings)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def run(server: AntiphonServer, thinking: AntiphonServer) -> Run:
    """Return a function to a scenario's result; every program runs once, with all its scenarios."""
    results: dict[str, dict[str, Any]] = {}

    def result_of(program: str, scenario: str) -> Any:
        if program not in results:
            urls = [f"{started.url}/v1" for started in (server, thinking)]
            results[program] = run_program(HERE / program, *urls)
        result = results[program][scenario]
        assert "error" not in result, result["error"]
        return result

    return result_of


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_chat(run: Run, program: str, server: AntiphonServer) -> None:
    result = run(program, "chat")

    assert result["text"]
    assert server.client().responses.retrieve(result["id"]).output_text == result["text"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_stream(run: Run, program: str, server: AntiphonServer) -> None:
    result = run(program, "stream")

    assert len(result["deltas"]) > 1
    assert "".join(result["deltas"]) == result["text"]
    if "id" in result:
        assert server.client().responses.retrieve(result["id"]).output_text == result["text"]


@pytest.mark.parametrize(("program", "scenario"), OBJECTS)
def test_a_structured_output(run: Run, program: str, scenario: str) -> None:
    value = run(program, scenario)["value"]

    assert set(value) == {"name", "population"}
    assert isinstance(value["name"], str)
    assert isinstance(value["population"], int)


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name not in UNCHAINED])
def test_a_chain_of_turns(run: Run, program: str, server: AntiphonServer) -> None:
    result = run(program, "chain")

    first, second = map(server.client().responses.retrieve, result["ids"])
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.total_tokens
    assert result["text"]


@pytest.mark.parametrize("program", TURNS_PROGRAMS)
def test_turns_that_send_all_that_was_said(run: Run, program: str) -> None:
    # The scripted engine gives its second answer only where its first one is in the prompt.
    assert run(program, "turns")["text"] == "It rains in Paris."


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_tool_round_trip(run: Run, program: str, server: AntiphonServer) -> None:
    result = run(program, "tool")

    assert list(result["arguments"]) == ["city"]
    assert isinstance(result["arguments"]["city"], str)
    answer = server.client().responses.retrieve(result["id"])
    assert answer.output_text == result["text"] != ""


@pytest.mark.parametrize("program", THINKING_PROGRAMS)
def test_a_stream_of_thoughts(run: Run, program: str) -> None:
    result = run(program, "thinking")

    assert len(result["deltas"]) > 1
    assert "".join(result["deltas"]) == result["thought"] == _THOUGHT


@pytest.mark.parametrize("program", SUMMARY_PROGRAMS)
def test_a_stream_of_a_summary_of_thoughts(run: Run, program: str) -> None:
    result = run(program, "thinking")

    assert "".join(result["deltas"]) == result["thought"] == _THOUGHT.replace(". ", ".\n")


@pytest.mark.parametrize("program", [*THINKING_PROGRAMS, *SUMMARY_PROGRAMS])
def test_an_agent_that_thinks_and_calls_a_function(run: Run, program: str) -> None:
    result = run(program, "agent")

    assert result["arguments"] == {"city": "Paris"}
    assert result["text"] == "It rains in Paris."


@pytest.mark.nightly
def test_the_background_mode_of_pydantic_ai(run: Run, server: AntiphonServer) -> None:
    result = run("with_pydantic_ai.py", "background")

    response = server.client().responses.retrieve(result["id"])
    assert response.background
    assert response.output_text == result["text"]


@pytest.mark.parametrize("program", SOCKET_PROGRAMS)
def test_a_chat_over_websocket(run: Run, program: str, server: AntiphonServer) -> None:
    result = run(program, "chat")

    with server.client() as client:
        assert client.responses.retrieve(result["id"]).output_text == result["text"] != ""


@pytest.mark.parametrize("program", SOCKET_PROGRAMS)
def test_streams_of_one_websocket(run: Run, program: str) -> None:
    result = run(program, "lanes")

    assert result["statuses"] == ["completed"] * 3
    assert all(result["texts"])
    assert result.get("streams") in (None, ["critic", "planner", "research"])
    assert result.get("forked") in (None, True)


@pytest.mark.parametrize("program", SOCKET_PROGRAMS)
def test_a_warm_up(run: Run, program: str) -> None:
    result = run(program, "warm_up")

    warm = result["warm"]
    assert (warm["status"], warm["output"]) == ("completed", [])
    assert warm["usage"]["output_tokens"] == 0
    if "text" in result:
        assert result["text"]
        assert 0 < result["cached_tokens"] <= warm["usage"]["input_tokens"]


def test_steering_is_refused_as_the_client_knows_it(run: Run) -> None:
    result = run("with_websocket.py", "steering")

    assert result["type"] == "response.steer.failed"
    assert result["code"] == "steering_not_supported"
    assert result["text"]
