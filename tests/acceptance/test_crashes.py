"""Killed processes: no accepted response is lost, and no stream skips or repeats an event."""

import contextlib
import itertools
import os
import shlex
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from openai import OpenAI
from openai.types.responses import ResponseStreamEvent

from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import AntiphonServer
from tests.openai_objects import response_of, usage_of
from tests.polling import eventually

STORY: dict[str, Any] = {
    "input": "Tell me a long story about a lighthouse.",
    "max_output_tokens": 120,
    "seed": 11,
}
_ORPHANS_END_S = 30.0
"""Seconds in which the parts of a killed supervisor end, of which a drain takes six."""
TERMINAL = ("completed", "incomplete", "failed", "cancelled")


def generate(
    client: OpenAI, after_ten_deltas: Callable[[], object] = lambda: None
) -> list[ResponseStreamEvent]:
    """Return all events of one streamed background response."""
    events: list[ResponseStreamEvent] = []
    num_deltas = 0
    stream = client.responses.create(
        model="default",
        input=STORY["input"],
        max_output_tokens=STORY["max_output_tokens"],
        extra_body={"seed": STORY["seed"]},
        background=True,
        stream=True,
    )
    for event in stream:
        events.append(event)
        num_deltas += event.type == "response.output_text.delta"
        if num_deltas == 10 and event.type == "response.output_text.delta":
            after_ten_deltas()
    return events


@pytest.mark.nightly
def test_a_stream_goes_on_across_the_kill_of_its_worker(make_server: MakeServer) -> None:
    server = make_server(engine="transformers", dtype="float32")
    undisturbed = generate(server.client())

    events = generate(server.client(), after_ten_deltas=lambda: server.kill("worker-1"))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert sum(event.type == "response.in_progress" for event in events) == 1
    resumed, whole = response_of(events[-1]), response_of(undisturbed[-1])
    assert resumed.status == whole.status
    assert resumed.output_text == whole.output_text
    assert resumed.usage == whole.usage


@pytest.mark.parametrize("store", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_a_killed_worker_is_restarted_and_its_response_completes_once(
    make_server: MakeServer, store: bool
) -> None:
    server = make_server(script_interval_ms="100")
    client = server.client()
    response = client.responses.create(model="default", input="hi", background=True, store=store)
    server.wait_for(lambda: client.responses.retrieve(response.id).status == "in_progress")

    killed = server.kill("worker-1")
    server.wait_for(lambda: client.responses.retrieve(response.id).status in TERMINAL)

    done = client.responses.retrieve(response.id)
    assert done.status == "completed"
    assert usage_of(done).output_tokens == 20
    assert server.pid("worker-1") != killed
    archived = list(client.responses.retrieve(response.id, stream=True))
    assert [event.sequence_number for event in archived] == list(range(len(archived)))
    assert sum(event.type == "response.completed" for event in archived) == 1


# Less than the five seconds of a lease, and for a worker that hangs, its lease and a sweep.
@pytest.mark.parametrize(
    ("number", "within_s"),
    [(signal.SIGKILL, 4.0), pytest.param(signal.SIGSTOP, 15.0, marks=pytest.mark.nightly)],
)
def test_another_worker_goes_on_soon_after_one_is_lost(
    make_server: MakeServer, number: signal.Signals, within_s: float
) -> None:
    server = make_server(workers="2", script_interval_ms="50", script_tokens="400")
    client = server.client()
    stream = client.responses.create(model="default", input="hi", background=True, stream=True)
    events: list[ResponseStreamEvent] = []
    came_at: list[float] = []
    lost_at: float | None = None

    for event in stream:
        events.append(event)
        came_at.append(time.monotonic())
        if len(events) == 20:
            os.kill(worker_of(server, response_of(events[0]).id), number)
            lost_at = time.monotonic()
        if lost_at and came_at[-1] > lost_at + within_s:
            break
    client.responses.cancel(response_of(events[0]).id)

    assert [event.sequence_number for event in events] == list(range(len(events)))
    gap_s = max(later - sooner for sooner, later in itertools.pairwise(came_at[10:]))
    assert gap_s < within_s


def worker_of(server: AntiphonServer, response_id: str) -> int:
    """Return the process id of the worker that runs a response."""
    words = shlex.split((server.data_dir / "run" / "env").read_text())
    url = dict(word.split("=", 1) for word in words)["DATABASE_URL"]
    query = (
        "SELECT w.pid FROM responses r JOIN workers w ON w.id = r.worker_id"
        f" WHERE r.id = '{response_id.removeprefix('resp_')}'"
    )
    with psycopg.connect(url) as connection:
        found = connection.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def submit_backlog(server: AntiphonServer, count: int) -> list[str]:
    client = server.client()
    with ThreadPoolExecutor(8) as pool:
        create = client.responses.create
        futures = [
            pool.submit(create, model="default", input=f"job {number}", background=True)
            for number in range(count)
        ]
    return [future.result().id for future in futures]


def assert_all_complete(server: AntiphonServer, ids: list[str]) -> None:
    client = server.client()
    for response_id in ids:
        eventually(lambda: client.responses.retrieve(response_id).status in TERMINAL, within_s=60)  # noqa: B023 - called at once
        response = client.responses.retrieve(response_id)
        assert response.status == "completed"
        assert usage_of(response).output_tokens == 20


@pytest.mark.nightly
def test_a_restart_with_a_backlog_loses_nothing(make_server: MakeServer) -> None:
    server = make_server(max_sequences="4", script_interval_ms="20", drain_seconds="0.2")
    ids = submit_backlog(server, 40)

    assert server.stop() == 0
    server.start()

    assert_all_complete(server, ids)


def test_a_kill_of_everything_with_a_backlog_loses_nothing(make_server: MakeServer) -> None:
    server = make_server(max_sequences="4", script_interval_ms="20")
    ids = submit_backlog(server, 40)
    names = ("api", "worker-1", "maintenance", "valkey", "postgres")
    pids = [server.pid(name) for name in names]

    server.stop(signal.SIGKILL)
    for pid in pids:
        kill_if_alive(pid)
    server.start()

    assert_all_complete(server, ids)


def test_parts_end_soon_after_their_supervisor_is_killed(make_server: MakeServer) -> None:
    """The database goes with it, and what ends in the drain has nowhere to be written."""
    server = make_server(script_interval_ms="100", script_tokens="30", drain_seconds="6")
    pids = [server.pid(name) for name in ("worker-1", "maintenance", "api")]
    await_text(server.client())

    server.stop(signal.SIGKILL)

    eventually(lambda: not any(map(is_alive, pids)), within_s=_ORPHANS_END_S)


def test_a_worker_that_drains_is_let_be_for_its_drain_time(make_server: MakeServer) -> None:
    """The response takes longer than a worker may take to end beyond that time."""
    server = make_server(script_interval_ms="100", script_tokens="110", drain_seconds="60")
    client, stopped = server.client(), server.pid("worker-1")
    response_id = await_text(client)

    os.kill(stopped, signal.SIGTERM)

    eventually(lambda: not is_alive(stopped), within_s=40)
    assert client.responses.retrieve(response_id).status == "completed"


def await_text(client: OpenAI) -> str:
    """Start a response; return its id once it has begun to generate."""
    stream = client.responses.create(model="default", input="hi", background=True, stream=True)
    response_id = response_of(next(stream)).id
    next(event for event in stream if event.type == "response.output_text.delta")
    return response_id


def kill_if_alive(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.nightly
def test_a_second_start_on_the_same_folder_says_that_one_is_running(
    make_server: MakeServer,
) -> None:
    server = make_server()
    second = AntiphonServer(server.data_dir)
    second._output = server.data_dir / "second.out"

    with contextlib.suppress(AssertionError):
        second.start()

    assert second.stop() == 1
    assert "already running" in second.output
    assert server.is_ready()


def test_a_stop_leaves_no_process(make_server: MakeServer) -> None:
    server = make_server()
    names = [path.stem for path in (server.data_dir / "run").glob("*.pid")]
    pids = [server.pid(name) for name in names]

    assert server.stop() == 0

    assert len(pids) == 6
    assert not [pid for pid in pids if is_alive(pid)]
    assert not list((server.data_dir / "run").glob("*.pid"))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
