"""Web search as clients see it, with a fake SearXNG that returns given results."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from models.tools.web_search import call_text
from tests.integration.api.requests import (
    cancel,
    create,
    create_and_wait,
    error_of,
    events,
    frames,
    parsed,
    stream,
    wait_for_end,
)
from tests.integration.conftest import MakeWorker, running_app
from tests.integration.desk import Desk
from tests.polling import eventually
from tests.searxng import FakeSearxng, result
from tests.tiny_model import save_tiny_model
from tests.unit.models.tiny_tokenizer import tiny_tokenizer
from worker.maintenance.maintenance import Maintenance
from worker.process.timings import WorkerTimings

PAGES = [result("https://a.example/1", "One", "It is 7."), result("https://b.example/2", "Two")]
TURNS = [f"I look. {call_text('seven')}", "It is 7 [1]."]
SEARCH: dict[str, Any] = {"tools": [{"type": "web_search"}]}
OPTIONS: dict[str, Any] = {"web_search_options": {}}


@pytest.fixture
def web() -> Iterator[FakeSearxng]:
    with FakeSearxng(PAGES) as fake:
        yield fake


@pytest.fixture
def settings(settings: Settings, web: FakeSearxng) -> Settings:
    return settings.model_copy(update={"script_text": "\f".join(TURNS), "searxng_url": web.url})


def search_of(response: dict[str, Any]) -> dict[str, Any]:
    [item] = [item for item in response["output"] if item["type"] == "web_search_call"]
    return dict(item)


@pytest.mark.usefixtures("worker")
def test_it_works(http: FlaskClient, web: FakeSearxng) -> None:
    include = ["web_search_call.action.sources"]
    response = create_and_wait(http, **SEARCH, include=include)

    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == [
        *("message", "web_search_call", "message")
    ]
    assert web.queries == ["seven"]
    assert search_of(response)["action"] == {
        "type": "search",
        "query": "seven",
        "sources": [{"type": "url", "url": page["url"]} for page in PAGES],
    }
    [part] = response["output"][2]["content"]
    assert part["annotations"][0] == {
        "type": "url_citation",
        "start_index": part["text"].index("[1]"),
        "end_index": part["text"].index("[1]") + 3,
        "url": "https://a.example/1",
        "title": "One",
    }


@pytest.mark.usefixtures("worker")
def test_its_steps_are_streamed_and_replayed_alike(http: FlaskClient) -> None:
    body = {"input": "a", "stream": True, "background": True, **SEARCH}
    live = list(frames(http.post("/v1/responses", json=body)))

    names = [frame.split(b"\n")[0].removeprefix(b"event: response.") for frame in live]
    steps = [name for name in names if name.startswith(b"web_search_call.")]
    expected = (b"in_progress", b"searching", b"completed")
    assert steps == [b"web_search_call." + step for step in expected]
    assert b"output_text.annotation.added" in names
    [listed] = parsed(http.get("/v1/responses"))["data"]
    assert list(frames(stream(http, listed["id"]))) == live


@pytest.mark.usefixtures("worker")
def test_the_options_of_a_chat_are_the_same_tool(http: FlaskClient, web: FakeSearxng) -> None:
    options = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "city": "Bonn"},
        "search_description": "Look.",
    }

    response = create_and_wait(http, web_search_options=options)

    assert response["tools"] == [{"type": "web_search", **options}]
    assert web.queries == ["seven Bonn"]


@pytest.mark.usefixtures("worker")
def test_an_earlier_search_reaches_the_model_again(http: FlaskClient) -> None:
    first = create_and_wait(http, **SEARCH)
    chained = create_and_wait(http, previous_response_id=first["id"], input="b")
    items = [{"role": "user", "content": "Hello."}, *first["output"]]
    sent = create_and_wait(http, input=[*items, {"role": "user", "content": "b"}])

    assert chained["usage"]["input_tokens"] == sent["usage"]["input_tokens"]
    without = [item for item in items if item.get("type") != "web_search_call"]
    shorter = create_and_wait(http, input=[*without, {"role": "user", "content": "b"}])
    assert shorter["usage"]["input_tokens"] < sent["usage"]["input_tokens"] - 100


@pytest.mark.usefixtures("worker")
def test_what_may_not_be_searched_is_not(http: FlaskClient, web: FakeSearxng) -> None:
    response = create_and_wait(http, **SEARCH, tool_choice="none")

    assert [item["type"] for item in response["output"]] == ["message"]
    assert web.queries == []


def test_a_search_that_fails_is_told_to_the_model(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker(searxng_url="http://127.0.0.1:1")

    response = create_and_wait(http, **SEARCH)

    assert response["status"] == "completed"
    assert search_of(response)["status"] == "failed"


@pytest.mark.usefixtures("worker")
def test_it_works_beside_functions(http: FlaskClient, web: FakeSearxng) -> None:
    tools = [*SEARCH["tools"], {"type": "function", "name": "f"}]

    response = create_and_wait(http, tools=tools)

    assert [item["type"] for item in response["output"]] == [
        *("message", "web_search_call", "message")
    ]
    assert web.queries == ["seven"]


def test_without_a_provider_a_demanded_search_is_refused_with_the_way_to_have_one(
    settings: Settings,
) -> None:
    with running_app(settings.model_copy(update={"searxng_url": None})) as app:
        for body, param in (
            (SEARCH | {"tool_choice": "required"}, "tools[0]"),
            (SEARCH | {"tool_choice": {"type": "web_search"}}, "tools[0]"),
            (OPTIONS, "web_search_options"),
        ):
            answer = app.test_client().post("/v1/responses", json={"input": "a", **body})

            assert answer.status_code == 400
            assert "ANTIPHON_SEARXNG_URL" in error_of(answer)["message"]
            assert error_of(answer)["param"] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({**SEARCH, **OPTIONS}, "web_search_options"),
        ({**SEARCH, "tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    http: FlaskClient, body: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/responses", json={"input": "a", **body})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.usefixtures("worker")
def test_one_that_is_cancelled_while_it_searches_is_told_nothing(
    http: FlaskClient, web: FakeSearxng
) -> None:
    web.may_answer.clear()
    response = create(http, **SEARCH)
    eventually(lambda: web.queries == ["seven"])

    cancel(http, response["id"])
    web.may_answer.set()

    ended = wait_for_end(http, response["id"])
    assert ended["status"] == "cancelled"
    assert search_of(ended)["status"] == "incomplete"
    assert "results" not in search_of(ended)


def test_another_worker_goes_on_with_what_the_lost_one_was_told(
    http: FlaskClient,
    make_worker: MakeWorker,
    desk: Desk,
    maintenance: Maintenance,
    web: FakeSearxng,
    unaware_timings: WorkerTimings,
) -> None:
    make_worker(script_interval_ms=20, script_tokens=200, timings=unaware_timings)
    response = create(http, **SEARCH)
    answer = stream(http, response["id"])
    seen = []
    for frame in frames(answer):
        seen.append(frame)
        if b"web_search_call.completed" in frame:
            break
    answer.close()
    desk.lapse_leases()
    maintenance.reclaim()
    web.results[:] = [result("https://other.example/", "Other")]

    make_worker(script_tokens=200).run_queued().result()

    ended = wait_for_end(http, response["id"])
    assert web.queries == ["seven"]
    assert search_of(ended)["results"][0]["title"] == "One"
    assert list(frames(stream(http, response["id"])))[: len(seen)] == seen
    assert events(stream(http, response["id"]))[-1]["response"] == ended


class TestRealEngine:
    """A tiny random network that is forced to search before it answers."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        folder = save_tiny_model(tmp_path, max_position_embeddings=2048)
        real = {"engine": "transformers", "model": str(folder)}
        limits = {"dtype": "float32", "kv_cache_gib": 0.02}
        return settings.model_copy(update=real | limits)

    def test_it_searches_because_it_must_and_answers_within_its_schema(
        self, http: FlaskClient, make_worker: MakeWorker, web: FakeSearxng
    ) -> None:
        make_worker()
        [quote] = tiny_tokenizer().backend_tokenizer.encode('"').ids

        response = create_and_wait(
            http,
            **SEARCH,
            tool_choice="required",
            max_tool_calls=1,
            grammar={"type": "regex", "value": "[0-9]{4}"},
            logit_bias={str(quote): 100},
            seed=7,
        )

        assert response["status"] == "completed"
        search, message = response["output"]
        assert web.queries == [search["action"]["query"]]
        assert [hit["title"] for hit in search["results"]] == ["One", "Two"]
        assert re.fullmatch("[0-9]{4}", message["content"][0]["text"])
        assert response["usage"]["output_tokens"] < 120
