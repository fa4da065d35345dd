"""Calls of tiny networks with the tokenizer and template of their family, through the API.

That they are found to write their notation, and are made to, is shown end to end: nothing is told
of it but the checkpoint.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import create_and_wait, events, parsed, stream
from tests.integration.api.test_native_formats import RICHEST
from tests.integration.conftest import MakeWorker, running_app
from tests.native_models.checkpoint import NativeCheckpoint, write_checkpoint
from tests.native_models.outputs import TOOLS, check_events, check_output
from tests.unit.worker.parsing.native_turns import NativeTurn

OFTEN = "gpt-oss"
"""Family that is tried at each run; the others are by night."""
OTHERWISE = {
    "Llama 3, after its token",
    "Llama 3.2 and 4, Python",
    "Mistral before v11",
    "Mistral Small 3.2, with ids",
    "DeepSeek V3, in a template that shows no code block",
    "GLM 4.7, without line breaks",
    "Phi-4-mini, one by one",
    "Command R7B and A",
    "FunctionGemma",
    "Gemma 4",
    "OLMo 3",
    "LFM 2",
    "Hunyuan",
}
"""Families whose turn is read, but is not one of those that a grammar lets a network write."""
BODY: dict[str, Any] = {"input": "Hello.", "tools": TOOLS}
STRICT: dict[str, Any] = {
    "type": "function",
    "name": "find",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {
            "place": {"enum": ["Oslo", "Tromsø"]},
            "at": {
                "type": "object",
                "properties": {"days": {"enum": [1, 2, 3]}, "exact": {"type": "boolean"}},
                "required": ["days", "exact"],
                "additionalProperties": False,
            },
        },
        "required": ["place", "at"],
        "additionalProperties": False,
    },
}


@pytest.fixture(
    params=[
        pytest.param(
            turn, id=turn.family, marks=() if turn.family == OFTEN else pytest.mark.nightly
        )
        for turn in RICHEST.values()
    ]
)
def turn(request: pytest.FixtureRequest) -> NativeTurn:
    found: NativeTurn = request.param
    return found


@pytest.fixture
def checkpoint(turn: NativeTurn, tmp_path: Path) -> NativeCheckpoint:
    return write_checkpoint(tmp_path / "native", turn)


@pytest.fixture
def settings(settings: Settings, checkpoint: NativeCheckpoint) -> Settings:
    real = {"engine": "transformers", "model": str(checkpoint.folder), "dtype": "float32"}
    return settings.model_copy(update=real | {"kv_cache_gib": 0.02, "forward": "torch"})


@pytest.fixture
def http(settings: Settings) -> Iterator[FlaskClient]:
    with running_app(settings) as app:
        yield app.test_client()


def test_what_a_network_writes_are_calls(
    turn: NativeTurn, checkpoint: NativeCheckpoint, http: FlaskClient, make_worker: MakeWorker
) -> None:
    if turn.family in OTHERWISE:
        pytest.skip("with tools, its network is held to another spelling")
    counted = parsed(http.post("/v1/responses/input_tokens", json=BODY))["input_tokens"]
    checkpoint.write_network(turn.turn, counted)
    make_worker()
    body = BODY | {"temperature": 0, "max_output_tokens": 2048}

    whole = create_and_wait(http, **body)
    seen = events(http.post("/v1/responses", json=body | {"stream": True}))

    assert (whole["status"], whole["error"]) == ("completed", None)
    check_output(whole["output"], turn)
    check_output(seen[-1]["response"]["output"], turn)
    check_events(seen, seen[-1]["response"]["output"])
    middle = len(seen) // 2
    read_on = events(stream(http, seen[-1]["response"]["id"], after=middle))
    assert read_on == seen[middle + 1 :]


def test_what_is_demanded_of_a_network_is_a_call(
    checkpoint: NativeCheckpoint, http: FlaskClient, make_worker: MakeWorker
) -> None:
    checkpoint.write_network("", 1)
    make_worker()
    forced: dict[str, Any] = {"tool_choice": "required", "parallel_tool_calls": False}
    if checkpoint.end_of_thought is not None:
        # The network would think on and on: what ends its thought comes first.
        forced["logit_bias"] = {str(checkpoint.end_of_thought): 100}

    response = create_and_wait(http, tools=[STRICT], temperature=0, **forced)

    assert (response["status"], response["error"]) == ("completed", None)
    [call] = [item for item in response["output"] if item["type"] == "function_call"]
    arguments = json.loads(call["arguments"])
    assert (call["name"], arguments["place"] in ("Oslo", "Tromsø")) == ("find", True)
    assert set(arguments["at"]) == {"days", "exact"}
