"""Calls in the notations of all model families, as clients see them; the engine is scripted."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.chat.scripted_encoder import ScriptedEncoder
from models.profile.formats.table import GENERIC, find_format
from models.profile.profile import Profile
from models.profile.thinking import ThinkingStyle
from models.settings import Settings
from tests.integration.api.requests import create_and_wait
from tests.integration.conftest import MakeWorker, running_app
from tests.unit.worker.parsing.native_turns import PARAMETERS, NativeTurn, native_turns

TOOLS = [
    {"type": "function", "name": name, "parameters": schema} for name, schema in PARAMETERS.items()
]

_ORDER = ("answer", "one call", "several calls", "text and a call")
RICHEST = {
    turn.family: turn for turn in sorted(native_turns(), key=lambda one: _ORDER.index(one.kind))
}


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


def test_every_family_calls_functions(
    encoder: FamilyEncoder, http: FlaskClient, make_worker: MakeWorker
) -> None:
    engine: Any = make_worker(script_text="?", script_interval_ms=0).runtime._engine

    for turn in RICHEST.values():
        encoder.use(turn)
        engine._scripts = [list(turn.turn.encode())]
        response = create_and_wait(http, tools=TOOLS, max_output_tokens=4096)

        output = response["output"]
        calls = [item for item in output if item["type"] == "function_call"]
        found = [(call["name"], json.loads(call["arguments"])) for call in calls]
        assert (response["status"], found) == ("completed", turn.calls), turn
        assert {call["status"] for call in calls} <= {"completed"}
        texts = {
            kind: "".join(
                part["text"] for item in output if item["type"] == kind for part in item["content"]
            ).strip()
            for kind in ("reasoning", "message")
        }
        assert texts == {"reasoning": turn.reasoning, "message": turn.answer}, turn


def test_without_parallel_calls_the_first_is_the_only_one(
    encoder: FamilyEncoder, http: FlaskClient, make_worker: MakeWorker
) -> None:
    engine: Any = make_worker(script_text="?", script_interval_ms=0).runtime._engine
    several = [turn for turn in native_turns() if turn.kind == "several calls"]

    for turn in several[::4]:
        encoder.use(turn)
        engine._scripts = [list(turn.turn.encode())]
        response = create_and_wait(
            http, tools=TOOLS, parallel_tool_calls=False, max_output_tokens=4096
        )

        calls = [item for item in response["output"] if item["type"] == "function_call"]
        assert [call["name"] for call in calls] == [turn.calls[0][0]], turn
        assert json.loads(calls[0]["arguments"]) == turn.calls[0][1]
