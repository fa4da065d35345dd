"""Calls in the notations of all model families, as clients see them; the engine is scripted."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.chat.scripted_encoder import ScriptedEncoder
from models.profile.formats.table import GENERIC, find_format
from models.profile.profile import Profile
from models.profile.thinking import ThinkingStyle
from models.settings import Settings
from tests.integration.api.requests import create_and_wait, event_of, events, frames, stream
from tests.integration.conftest import MakeWorker, running_app
from tests.integration.desk import Desk
from tests.native_models.outputs import TOOLS, check_events, check_output
from tests.unit.worker.parsing.native_turns import NativeTurn, native_turns
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

_ORDER = ("answer", "one call", "several calls", "text and a call")
RICHEST = {
    turn.family: turn for turn in sorted(native_turns(), key=lambda one: _ORDER.index(one.kind))
}
MOST = 4096


class FamilyEncoder(ScriptedEncoder):
    """Encoder of a model of one family after the other."""

    def use(self, turn: NativeTurn) -> None:
        style = ThinkingStyle(turn.marks)
        self.think_tags, self.answer_tags = style.tags, style.answer_tags
        self.profile = Profile(call_style=(find_format(turn.marks) or GENERIC).style)
        self.opens_reasoning = turn.opens_reasoning

    def encode_media(self, prompt: Any) -> Any:
        return replace(super().encode_media(prompt), opens_reasoning=self.opens_reasoning)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> FamilyEncoder:
    made = FamilyEncoder()
    made.use(native_turns()[0])
    for module in ("api.connect", "worker.process.runtime"):
        monkeypatch.setattr(f"{module}.load_encoder", lambda settings: made)
    return made


@pytest.fixture
def http(encoder: FamilyEncoder, settings: Settings) -> Iterator[FlaskClient]:
    del encoder
    with running_app(settings) as app:
        yield app.test_client()


@pytest.fixture
def lose_worker(desk: Desk, maintenance: Maintenance) -> Callable[[], None]:
    """Return a function by which the running response is queued again."""

    def lose() -> None:
        desk.lapse_leases()
        maintenance.reclaim()
        assert desk.sql("SELECT status, num_crashes FROM responses") == [("queued", 1)]

    return lose


def test_every_family_calls_functions(
    encoder: FamilyEncoder, http: FlaskClient, make_worker: MakeWorker
) -> None:
    engine: Any = make_worker(script_text="?", script_interval_ms=0).runtime._engine

    for turn in RICHEST.values():
        encoder.use(turn)
        engine._scripts = [list(turn.turn.encode())]
        response = create_and_wait(http, tools=TOOLS, max_output_tokens=MOST)

        assert response["status"] == "completed", turn
        check_output(response["output"], turn)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(("several calls",), id="several calls"),
        pytest.param(_ORDER, id="all", marks=pytest.mark.nightly),
    ],
)
def test_every_family_streams_calls_that_can_be_read_on_from_the_middle(
    encoder: FamilyEncoder, http: FlaskClient, make_worker: MakeWorker, kinds: tuple[str, ...]
) -> None:
    engine: Any = make_worker(script_text="?", script_interval_ms=0).runtime._engine
    body = {"input": "Hello.", "tools": TOOLS, "max_output_tokens": MOST, "stream": True}

    for turn in (turn for turn in native_turns() if turn.kind in kinds):
        encoder.use(turn)
        engine._scripts = [list(turn.turn.encode())]
        seen = events(http.post("/v1/responses", json=body))
        response = seen[-1]["response"]
        middle = len(seen) // 2
        read_on = events(stream(http, response["id"], after=middle))

        check_output(response["output"], turn)
        check_events(seen, response["output"])
        assert read_on == seen[middle + 1 :], turn


OFTEN = {"gpt-oss", "Kimi K3"}
"""Families whose lost workers are tried at each run; the others are by night."""


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(
            turn, id=turn.family, marks=() if turn.family in OFTEN else pytest.mark.nightly
        )
        for turn in RICHEST.values()
    ],
)
def test_calls_go_on_where_a_lost_worker_left_them(
    turn: NativeTurn,
    encoder: FamilyEncoder,
    http: FlaskClient,
    make_worker: MakeWorker,
    unaware_timings: WorkerTimings,
    lose_worker: Callable[[], None],
) -> None:
    encoder.use(turn)
    slow: dict[str, Any] = {"script_text": turn.turn, "script_interval_ms": 5}
    make_worker(**slow, timings=unaware_timings)
    body = {"input": "Hello.", "tools": TOOLS, "max_output_tokens": MOST, "background": True}
    streamed = frames(http.post("/v1/responses", json=body | {"stream": True}))
    seen = [next(streamed) for _ in range(8)]
    response_id = event_of(seen[0])["response"]["id"]
    lose_worker()

    make_worker(**slow | {"script_interval_ms": 0}).run_queued().result()
    seen += streamed

    assert seen == list(frames(stream(http, response_id)))
    whole = events(stream(http, response_id))
    check_output(whole[-1]["response"]["output"], turn)
    check_events(whole, whole[-1]["response"]["output"])


def test_without_parallel_calls_the_first_is_the_only_one(
    encoder: FamilyEncoder, http: FlaskClient, make_worker: MakeWorker
) -> None:
    engine: Any = make_worker(script_text="?", script_interval_ms=0).runtime._engine
    several = [turn for turn in native_turns() if turn.kind == "several calls"]

    for turn in several[::4]:
        encoder.use(turn)
        engine._scripts = [list(turn.turn.encode())]
        response = create_and_wait(
            http, tools=TOOLS, parallel_tool_calls=False, max_output_tokens=MOST
        )

        calls = [item for item in response["output"] if item["type"] == "function_call"]
        assert [call["name"] for call in calls] == [turn.calls[0][0]], turn
        assert json.loads(calls[0]["arguments"]) == turn.calls[0][1]
