"""A loop of MCP calls whose workers are killed every three seconds."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai.types.responses import ResponseStreamEvent

from models.tools.mcp.results import LOST
from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import AntiphonServer
from tests.acceptance.test_crashes import worker_of
from tests.mcp.process import LABEL, McpServerProcess
from tests.mcp.requests import TOOLS, call_text
from tests.openai_objects import response_of

NUM_CALLS = 20
KILL_EVERY_S = 3.0
TURNS = [call_text("add", a=number, b=1) for number in range(NUM_CALLS)]


@pytest.fixture
def mcp(tmp_path: Path) -> Iterator[McpServerProcess]:
    with McpServerProcess(tmp_path) as started:
        yield started


@contextlib.contextmanager
def killing(server: AntiphonServer, mcp: McpServerProcess, response_id: str) -> Iterator[list[int]]:
    """Kill the worker of a response every three seconds; yield the list of those killed.

    A kill waits for a call since the last one: a slow machine takes long to start the next worker.
    """
    killed: list[int] = []
    is_over = threading.Event()

    def kill() -> None:
        num_calls = 0
        while not is_over.wait(KILL_EVERY_S):
            if len(mcp.calls) == num_calls:
                continue
            num_calls = len(mcp.calls)
            # Nobody runs it just now, or it has ended.
            with contextlib.suppress(AssertionError, ProcessLookupError):
                pid = worker_of(server, response_id)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    yield killed
    is_over.set()
    thread.join()


@pytest.mark.nightly
def test_no_call_is_made_twice_and_the_answer_is_whole(
    make_server: MakeServer, mcp: McpServerProcess
) -> None:
    server = make_server(
        workers="2",
        mcp_servers=json.dumps({LABEL: {"url": mcp.url}}),
        script_text="\f".join([*TURNS, "All is added."]),
        script_interval_ms="5",
    )
    stream = server.client().responses.create(
        model="default", input="Add.", background=True, stream=True, extra_body=TOOLS
    )
    events: list[ResponseStreamEvent] = [next(stream)]
    response_id = response_of(events[0]).id

    with killing(server, mcp, response_id) as killed:
        events += stream

    assert len(killed) >= 2
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = response_of(events[-1])
    assert response.status == "completed", response.error
    assert response.output_text == "All is added."
    calls = [item for item in response.output if item.type == "mcp_call"]
    assert [json.loads(call.arguments)["a"] for call in calls] == list(range(NUM_CALLS))
    made = [call["arguments"]["a"] for call in mcp.journal]
    assert made == sorted(set(made))
    for call in calls:
        number = json.loads(call.arguments)["a"]
        if call.status == "completed":
            assert call.output == str(number + 1)
            assert number in made
        else:
            assert LOST in json.dumps(call.model_dump()["error"])
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.id for item in done] == [item.id for item in response.output]
    archived = list(server.client().responses.retrieve(response_id, stream=True))
    assert [event.to_json() for event in archived] == [event.to_json() for event in events]
