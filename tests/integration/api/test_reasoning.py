"""Reasoning as clients see it: items, events, token counts, and encrypted from turn to turn."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from api.services import Services
from models.settings import Settings
from tests.integration.api.requests import (
    create_and_wait,
    error_of,
    events,
    frames,
    parsed,
    stream,
    text_of,
)
from tests.integration.conftest import MakeWorker, running_app
from tests.tiny_model import save_tiny_model
from worker.engine.interface import GenerationRequest
from worker.engine.scripted import ScriptedEngine

SCRIPT = "<think>\nIt greets. So I greet. Done.\n</think>\n\nHello!"
REASONING = "It greets. So I greet. Done."
NUM_THOUGHT = SCRIPT.index("\n\nHello")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"script_text": SCRIPT})


def kinds(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


@pytest.mark.usefixtures("worker")
def test_it_works(http: FlaskClient) -> None:
    response = create_and_wait(http, reasoning={"effort": "high", "summary": "concise"})

    reasoning, message = response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": REASONING}]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "It greets.\nDone."}]
    assert "encrypted_content" not in reasoning
    assert text_of({"output": [message]}) == "Hello!"
    details = response["usage"]["output_tokens_details"]
    assert details == {"reasoning_tokens": NUM_THOUGHT}
    assert response["usage"]["output_tokens"] == len(SCRIPT)


@pytest.mark.usefixtures("worker")
def test_its_deltas_are_streamed_and_replayed_alike(http: FlaskClient) -> None:
    body = {"input": "a", "stream": True, "background": True}
    live = list(frames(http.post("/v1/responses", json=body)))
    streamed = [orjson.loads(frame.split(b"data: ")[1]) for frame in live[:-1]]

    kind = "response.reasoning_text.delta"
    deltas = [event["delta"] for event in streamed if event["type"] == kind]
    assert "".join(deltas) == REASONING
    assert len(deltas) > 10
    assert list(frames(stream(http, streamed[0]["response"]["id"]))) == live


@pytest.mark.usefixtures("worker")
def test_the_names_of_the_specification_are_given_to_the_same_events(
    settings: Settings, http: FlaskClient
) -> None:
    response = create_and_wait(http)
    with running_app(settings.model_copy(update={"reasoning_events": "specification"})) as app:
        other = app.test_client()
        renamed = events(stream(other, response["id"]))
        again = events(stream(other, response["id"]))

    ours = events(stream(http, response["id"]))
    names = [re.sub(r"reasoning_text\.", "reasoning.", event["type"]) for event in ours]
    assert [event["type"] for event in renamed] == names
    assert "response.reasoning.done" in names
    assert again == renamed


@pytest.mark.usefixtures("worker")
def test_one_request_chooses_the_names_of_its_events(http: FlaskClient) -> None:
    body = {"input": "a", "stream": True, "background": True}
    asked = {"Antiphon-Events": "specification"}
    live = events(http.post("/v1/responses", json=body, headers=asked))
    path = f"/v1/responses/{live[0]['response']['id']}?stream=true"

    assert "response.reasoning.delta" in [event["type"] for event in live]
    assert events(http.get(path, headers=asked)) == live
    assert "response.reasoning_text.delta" in [event["type"] for event in events(http.get(path))]


def test_an_unknown_name_is_refused_before_anything_is_stored(http: FlaskClient) -> None:
    asked = {"Antiphon-Events": "mine"}

    answer = http.post("/v1/responses", json={"input": "a", "background": True}, headers=asked)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "Antiphon-Events"
    assert parsed(http.get("/v1/responses"))["data"] == []


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("is_open", [True, False])
def test_reasoning_goes_from_turn_to_turn_without_being_stored(
    http: FlaskClient, is_open: bool
) -> None:
    asked: dict[str, Any] = {"store": False, "include": ["reasoning.encrypted_content"]}
    first = parsed(http.post("/v1/responses", json={"input": "a", **asked}))
    if not is_open:
        del first["output"][0]["content"]
    prompt = f"a\n<think>\n{REASONING}\n</think>\n\nHello!\nb"

    items = [{"role": "user", "content": "a"}, *first["output"], {"role": "user", "content": "b"}]
    second = parsed(http.post("/v1/responses", json={"input": items, **asked}))

    assert second["usage"]["input_tokens"] == len(prompt)
    kept = create_and_wait(http, input="a")
    third = create_and_wait(http, input="b", previous_response_id=kept["id"])
    assert third["usage"]["input_tokens"] == len(prompt)


@pytest.mark.usefixtures("worker")
def test_stored_reasoning_is_encrypted_when_it_is_read(http: FlaskClient) -> None:
    response = create_and_wait(http)

    path = f"/v1/responses/{response['id']}?include[]=reasoning.encrypted_content"
    reasoning = parsed(http.get(path))["output"][0]

    item = {"type": "reasoning", "summary": [], "encrypted_content": reasoning["encrypted_content"]}
    counted = http.post("/v1/responses/input_tokens", json={"input": [item]})
    assert parsed(counted)["input_tokens"] == len(f"<think>\n{REASONING}\n</think>\n\n")


@pytest.mark.usefixtures("worker")
def test_no_effort_shows_no_reasoning(http: FlaskClient) -> None:
    response = create_and_wait(http, reasoning={"effort": "none"})

    assert kinds(response) == ["message"]
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == NUM_THOUGHT


@pytest.mark.usefixtures("worker")
def test_the_limit_within_reasoning_is_told(http: FlaskClient) -> None:
    response = create_and_wait(http, max_output_tokens=20)

    assert response["status"] == "incomplete"
    [reasoning] = response["output"]
    assert (reasoning["type"], reasoning["status"]) == ("reasoning", "incomplete")


@pytest.mark.usefixtures("worker")
def test_a_constraint_holds_for_the_answer(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[GenerationRequest] = []
    submit = ScriptedEngine.submit

    def record_request(engine: ScriptedEngine, request: GenerationRequest) -> None:
        seen.append(request)
        submit(engine, request)

    monkeypatch.setattr(Services, "check_grammar", lambda *_, **__: None)
    monkeypatch.setattr(ScriptedEngine, "submit", record_request)

    for effort in (None, "none"):
        create_and_wait(
            http,
            text={"format": {"type": "json_object"}},
            reasoning={"effort": effort},
        )

    assert ["thought" in str(request.grammar) for request in seen] == [True, False]


class TestRealEngine:
    """A tiny random network whose template opens the reasoning block itself."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        folder = save_tiny_model(tmp_path, "{{ messages[0].content }}<think>\n{# </think> #}")
        real = {"engine": "transformers", "model": str(folder), "dtype": "float32"}
        return settings.model_copy(update=real | {"kv_cache_gib": 0.01})

    def test_it_thinks_up_to_its_limit_and_not_at_all_if_told_so(
        self, http: FlaskClient, make_worker: MakeWorker
    ) -> None:
        make_worker()
        constrained = {"grammar": {"type": "regex", "value": "[a-z]{8}"}, "seed": 7}

        lost = create_and_wait(http, max_output_tokens=12, **constrained)
        at_once = create_and_wait(http, reasoning={"effort": "none"}, **constrained)

        assert lost["status"] == "incomplete"
        assert kinds(lost) == ["reasoning"]
        assert lost["usage"]["output_tokens_details"]["reasoning_tokens"] == 12
        assert at_once["status"] == "completed"
        assert re.fullmatch("[a-z]{8}", text_of(at_once))
