"""MCP calls of workers that are lost: none is made twice unless that changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from models.errors import UnavailableError
from models.settings import Settings
from models.store.checkpoints import Checkpoints
from models.tools.mcp.results import LOST
from tests.integration.api.requests import (
    create,
    create_and_wait,
    events,
    frames,
    stream,
    wait_for_end,
)
from tests.integration.conftest import NO_REDIS, MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.mcp.process import McpServerProcess
from tests.mcp.requests import ASKING, TOOLS, call_text, items_of, types_of
from tests.polling import eventually
from worker.hosted.mcp.client import McpSession
from worker.hosted.mcp.tools import McpTools
from worker.maintenance.maintenance import Maintenance
from worker.process.runtime import Runtime
from worker.process.timings import WorkerTimings

ADDING = f"{call_text('add', a=1, b=2)}\fIt is 3."
WAITING = f"{call_text('wait')}\fAll right."
WATCHING = f"{call_text('watch')}\fAll right."


class WorkerLostError(BaseException):
    """The worker has ended: nothing of it runs on."""


class Shift:
    """Workers that run one after the other, each until it is lost."""

    def __init__(
        self,
        http: FlaskClient,
        start: Callable[..., InProcessWorker],
        desk: Desk,
        maintenance: Maintenance,
        client: redis.Redis,
    ) -> None:
        self.http = http
        self.start = start
        self.desk = desk
        self._maintenance = maintenance
        self._client = client

    def lose(self, *, log: bool = False) -> None:
        """Lose the worker without its knowledge; `log`: and all that is in Redis."""
        self.desk.lapse_leases()
        self._maintenance.reclaim()
        if log:
            self._client.flushall()

    def finish(self, response: dict[str, Any], script: str) -> dict[str, Any]:
        """Let another worker go on, and return the response, whose events are checked."""
        self.start(script_text=script).run_queued().result()
        ended = wait_for_end(self.http, response["id"])
        told = events(stream(self.http, response["id"]))
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
        assert done == ended["output"]
        assert told[-1]["response"] == ended
        assert ended["status"] == "completed"
        return ended


@pytest.fixture
def settings(settings: Settings, mcp_server: McpServerProcess) -> Settings:
    return settings.model_copy(update=mcp_server.settings)


@pytest.fixture
def shift(
    http: FlaskClient,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    desk: Desk,
    maintenance: Maintenance,
    client: redis.Redis,
) -> Shift:
    def start(**changes: Any) -> InProcessWorker:
        return make_worker(timings=unaware_timings, **changes)

    return Shift(http, start, desk, maintenance, client)


@pytest.fixture(params=[False, True], ids=["log-kept", "log-lost"])
def log(request: pytest.FixtureRequest) -> bool:
    """Return True if Redis loses everything together with the worker."""
    return bool(request.param)


@pytest.fixture
def approval(http: FlaskClient, make_worker: MakeWorker) -> dict[str, Any]:
    """Return a request that approves of a call of `wait`."""
    asker = make_worker(script_text=WAITING)
    first = create_and_wait(http, **ASKING)
    asker.drain()
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": first["output"][-1]["id"],
        "approve": True,
    }
    return {**ASKING, "previous_response_id": first["id"], "input": [answer]}


def call_of(response: dict[str, Any]) -> dict[str, Any]:
    [item] = items_of(response, "mcp_call")
    return item


def seen_until(http: FlaskClient, response_id: str, event: str) -> list[bytes]:
    """Return the frames of a stream up to the first with an event of this type."""
    answer, seen = stream(http, response_id), []
    for frame in frames(answer):
        seen.append(frame)
        if frame.startswith(f"event: response.{event}\n".encode()):
            break
    answer.close()
    return seen


def test_a_call_that_was_under_way_is_not_made_again(
    shift: Shift, mcp_server: McpServerProcess, log: bool
) -> None:
    shift.start(script_text=WAITING)
    response = create(shift.http, **TOOLS)
    eventually(lambda: mcp_server.calls == ["wait"])
    shift.lose(log=log)

    ended = shift.finish(response, WAITING)

    assert mcp_server.calls == ["wait"]
    assert call_of(ended)["error"]["message"] == LOST
    assert ended["output"][-1]["content"][0]["text"] == "All right."
    mcp_server.let_go()
    assert wait_for_end(shift.http, response["id"]) == ended


def test_a_call_that_changes_nothing_is_made_again(
    shift: Shift, mcp_server: McpServerProcess
) -> None:
    shift.start(script_text=WATCHING)
    response = create(shift.http, **TOOLS)
    eventually(lambda: mcp_server.calls == ["watch"])
    shift.lose()
    second = shift.start(script_text=WATCHING)

    task = second.run_queued()
    eventually(lambda: mcp_server.calls == ["watch", "watch"])
    mcp_server.let_go()

    task.result()
    ended = shift.finish(response, WATCHING)
    assert call_of(ended)["output"] == "watched"


@pytest.mark.parametrize(
    ("owner", "name", "after", "output"),
    [
        # Before it is noted as begun: it has not been made.
        pytest.param(McpSession, "connect", False, "3", marks=pytest.mark.nightly),
        (Checkpoints, "begin_call", False, "3"),
        # After that, nobody knows; in the first case it was not made.
        (Checkpoints, "begin_call", True, None),
        (McpSession, "call", True, None),
        pytest.param(McpTools, "call", True, None, marks=pytest.mark.nightly),
    ],
)
def test_a_worker_that_is_lost_at_any_step_makes_no_call_twice(  # noqa: PLR0913 - a table
    shift: Shift,
    mcp_server: McpServerProcess,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    after: bool,
    output: str | None,
    log: bool,
) -> None:
    method, lost = getattr(owner, name), list[bool]()

    def lose_worker(*arguments: Any) -> Any:
        is_listing = name == "connect" and not shift.desk.sql(_HAS_LISTED)
        if lost or is_listing:
            return method(*arguments)
        if after:
            method(*arguments)
        lost.append(True)  # from here on the worker is declared lost
        raise WorkerLostError

    monkeypatch.setattr(owner, name, lose_worker)
    shift.start(script_text=ADDING)
    response = create(shift.http, **TOOLS)
    eventually(lambda: lost)
    shift.lose(log=log)

    ended = shift.finish(response, ADDING)

    assert types_of(ended) == ["mcp_list_tools", "mcp_call", "message"]
    assert call_of(ended)["output"] == output
    assert (call_of(ended)["error"] or {"message": LOST})["message"] == LOST
    assert mcp_server.calls == ["add"] or (name, output) == ("begin_call", None)
    assert len(mcp_server.calls) <= 1


_HAS_LISTED = "SELECT 1 FROM responses WHERE checkpoint IS NOT NULL"


def test_an_answer_that_was_told_stays(
    shift: Shift, mcp_server: McpServerProcess, log: bool
) -> None:
    script = f"{ADDING} {'So it is. ' * 50}"
    shift.start(script_text=script, script_interval_ms=20)
    response = create(shift.http, **TOOLS)
    seen = seen_until(shift.http, response["id"], "output_text.delta")
    shift.lose(log=log)

    ended = shift.finish(response, script)

    assert mcp_server.calls == ["add"]
    assert call_of(ended)["output"] == "3"
    assert list(frames(stream(shift.http, response["id"])))[: len(seen)] == seen


def test_an_approved_call_that_was_under_way_is_not_made_again(
    shift: Shift, mcp_server: McpServerProcess, approval: dict[str, Any], log: bool
) -> None:
    shift.start(script_text=WAITING)
    response = create(shift.http, **approval)
    eventually(lambda: mcp_server.calls == ["wait"])
    shift.lose(log=log)

    ended = shift.finish(response, WAITING)

    assert types_of(ended) == ["mcp_call", "message"]
    assert call_of(ended)["error"]["message"] == LOST
    assert mcp_server.calls == ["wait"]


def test_the_answer_of_an_approved_call_stays(
    shift: Shift, mcp_server: McpServerProcess, approval: dict[str, Any], log: bool
) -> None:
    script = f"{call_text('wait')}\f{'All right. ' * 50}"
    mcp_server.let_go()
    shift.start(script_text=script, script_interval_ms=20)
    response = create(shift.http, **approval)
    seen = seen_until(shift.http, response["id"], "mcp_call.completed")
    shift.lose(log=log)

    ended = shift.finish(response, script)

    assert call_of(ended)["output"] == "waited"
    assert mcp_server.calls == ["wait"]
    assert list(frames(stream(shift.http, response["id"])))[: len(seen)] == seen


def test_a_worker_that_is_drained_hands_the_answer_on(
    shift: Shift, mcp_server: McpServerProcess
) -> None:
    first = shift.start(script_text=WAITING)
    response = create(shift.http, **TOOLS)
    eventually(lambda: mcp_server.calls == ["wait"])
    mcp_server.let_go()

    first.drain()

    ended = shift.finish(response, WAITING)
    assert call_of(ended)["output"] == "waited"
    assert mcp_server.calls == ["wait"]


def test_an_unstored_response_makes_no_call_twice_either(
    shift: Shift, mcp_server: McpServerProcess
) -> None:
    shift.start(script_text=WAITING)
    body = {"input": "Hello.", "store": False, "stream": True, **TOOLS}
    streamed = frames(shift.http.post("/v1/responses", json=body))
    next(streamed)
    eventually(lambda: mcp_server.calls == ["wait"])
    shift.lose()

    shift.start(script_text=WAITING).run_queued().result()

    *_, last, _done = streamed
    assert LOST.encode() in last
    assert mcp_server.calls == ["wait"]


def test_without_redis_a_call_is_made_once_and_its_answer_used(
    http: FlaskClient,
    settings: Settings,
    mcp_server: McpServerProcess,
    worker_timings: WorkerTimings,
    desk: Desk,
) -> None:
    changed = settings.model_copy(update=NO_REDIS | {"script_text": ADDING})
    runtime = Runtime(changed, "cut off", timings=worker_timings)
    runtime.start()
    response = create(http, **TOOLS)

    runtime.run_queued()

    ended = wait_for_end(http, response["id"])
    runtime.drain()
    runtime.stop()
    assert call_of(ended)["output"] == "3"
    assert mcp_server.calls == ["add"]
    assert desk.sql("SELECT calls_begun FROM responses") == [(1,)]


def test_a_call_waits_until_the_database_has_noted_it(
    http: FlaskClient,
    make_worker: MakeWorker,
    mcp_server: McpServerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin, faults = Checkpoints.begin_call, [UnavailableError(), UnavailableError()]

    def begin_after_faults(*arguments: Any) -> bool:
        assert mcp_server.calls == []
        if faults:
            raise faults.pop()
        return begin(*arguments)

    monkeypatch.setattr(Checkpoints, "begin_call", begin_after_faults)
    make_worker(script_text=ADDING)

    ended = create_and_wait(http, **TOOLS)

    assert call_of(ended)["output"] == "3"
    assert mcp_server.calls == ["add"]
    assert faults == []


def test_a_worker_whose_response_another_has_taken_over_makes_no_call(
    shift: Shift, mcp_server: McpServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, ended = Checkpoints.begin_call, list[dict[str, Any]]()

    def begin_too_late(*arguments: Any) -> bool:
        if not ended:
            ended.append({})
            shift.lose()
            [listed] = shift.http.get("/v1/responses").get_json()["data"]
            ended[0] = shift.finish(listed, ADDING)
        return begin(*arguments)

    monkeypatch.setattr(Checkpoints, "begin_call", begin_too_late)
    first = shift.start(script_text=ADDING)

    response = create(shift.http, **TOOLS)

    assert wait_for_end(shift.http, response["id"])["status"] == "completed"
    first.wait_idle()
    assert call_of(ended[0])["output"] == "3"
    assert mcp_server.calls == ["add"]
