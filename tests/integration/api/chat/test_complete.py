"""POST /v1/chat/completions: chats are completed by responses, whole and as streams."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.chat.completions import (
    PATH,
    SCRIPT,
    USER,
    complete,
    message_of,
    post,
    stream,
    text_of,
)
from tests.integration.api.requests import error_of, fetch, parsed
from tests.integration.api.test_custom_tools import PATCH_CALL
from tests.integration.api.test_function_calls import NESTED
from tests.integration.api.test_function_calls import TURNS as CALL_TURNS
from tests.integration.api.test_reasoning import REASONING
from tests.integration.api.test_reasoning import SCRIPT as REASONED
from tests.integration.api.test_web_search import PAGES
from tests.integration.api.test_web_search import TURNS as SEARCH_TURNS
from tests.integration.conftest import RunSql
from tests.integration.in_process import InProcessWorker
from tests.integration.traces import rows_that_mention
from tests.searxng import FakeSearxng

CUSTOM = {"type": "custom", "custom": {"name": "apply_patch", "description": "Changes files."}}


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    completion = complete(http)

    assert completion["object"] == "chat.completion"
    assert completion["id"].startswith("chatcmpl-")
    assert completion["model"] == "scripted"
    assert message_of(completion)["content"] == SCRIPT
    assert completion["choices"][0]["finish_reason"] == "stop"
    usage = completion["usage"]
    assert usage["prompt_tokens"] == len("Hello.")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_says_the_same(http: FlaskClient, worker: InProcessWorker) -> None:
    chunks = stream(http, stream_options={"include_usage": True})

    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert len(chunks) > 5
    assert text_of(chunks) == SCRIPT
    *_, end, usage = chunks
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"] == complete(http)["usage"]


def test_nothing_of_it_is_stored(http: FlaskClient, worker: InProcessWorker, sql: RunSql) -> None:
    complete(http, {"role": "user", "content": "swordfish"}, metadata={"a": "swordfish"})

    assert sql("SELECT status FROM responses") == [("completed",)]
    assert rows_that_mention(sql, "swordfish") == []


def test_it_is_stored_as_a_response_if_that_is_asked_for(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    completion = complete(http, store=True, metadata={"a": "b"})

    response = fetch(http, completion["id"].replace("chatcmpl-", "resp_"))
    assert response["output"][0]["content"][0]["text"] == message_of(completion)["content"]
    assert response["metadata"] == completion["metadata"] == {"a": "b"}


def test_it_reads_the_prompt_that_a_response_reads(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]

    counted = parsed(http.post("/v1/responses/input_tokens", json={"input": turns}))

    assert complete(http, *turns)["usage"]["prompt_tokens"] == counted["input_tokens"]


def test_choices_limits_and_stop_strings_have_their_effect(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    completion = complete(http, n=2, max_completion_tokens=3)
    stopped = complete(http, stop=" scripted")

    assert [choice["index"] for choice in completion["choices"]] == [0, 1]
    for choice in completion["choices"]:
        assert choice["message"]["content"] == "This answer is"
        assert choice["finish_reason"] == "length"
    assert message_of(stopped)["content"] == "This answer is"
    assert stopped["choices"][0]["finish_reason"] == "stop"


def test_choices_are_streamed_side_by_side(http: FlaskClient, worker: InProcessWorker) -> None:
    chunks = stream(http, n=2)

    for index in (0, 1):
        own = [chunk for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert text_of(own) == SCRIPT
        assert own[-1]["choices"][0]["finish_reason"] == "stop"


def test_log_probabilities_are_whole_and_streamed_alike(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "max_tokens": 4}

    [choice] = complete(http, **asked)["choices"]
    chunks = stream(http, **asked)

    found = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in found) == choice["message"]["content"]
    assert [len(entry["top_logprobs"]) for entry in found] == [2] * 4
    pieces = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert [entry for piece in pieces if piece for entry in piece["content"]] == found


def test_a_repeated_request_gets_the_same_completion(
    http: FlaskClient, worker: InProcessWorker, sql: RunSql
) -> None:
    body = {"messages": [USER], "store": True}
    key = {"Idempotency-Key": "k"}

    first, second = (http.post(PATH, json=body, headers=key) for _ in range(2))
    other = http.post(PATH, json=body | {"stream": True}, headers=key)

    assert parsed(first) == parsed(second)
    assert sql("SELECT count(*) FROM responses") == [(1,)]
    assert error_of(other)["code"] == "idempotency_key_reused"


class TestFunctions:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"script_text": "\f".join(CALL_TURNS)})

    @pytest.mark.usefixtures("worker")
    def test_calls_go_out_and_their_outputs_come_back(self, http: FlaskClient) -> None:
        first = complete(http, tools=[NESTED])
        asked = message_of(first)

        outputs = [
            {"role": "tool", "tool_call_id": call["id"], "content": "7"}
            for call in asked["tool_calls"]
        ]
        second = complete(http, USER, asked, *outputs, tools=[NESTED])

        assert first["choices"][0]["finish_reason"] == "tool_calls"
        assert asked["content"].strip() == "I ask."
        for call in asked["tool_calls"]:
            assert call["function"] == {"name": "f", "arguments": '{"a": 1}'}
        assert message_of(second)["content"] == "It is 7."
        assert "tool_calls" not in message_of(second)

    @pytest.mark.usefixtures("worker")
    def test_calls_are_streamed(self, http: FlaskClient) -> None:
        chunks = stream(http, tools=[NESTED])

        pieces = [
            piece
            for chunk in chunks
            for piece in chunk["choices"][0]["delta"].get("tool_calls", ())
        ]
        for index in (0, 1):
            first, *others = (piece for piece in pieces if piece["index"] == index)
            assert (first["type"], first["function"]["name"]) == ("function", "f")
            assert first["id"]
            arguments = "".join(piece["function"]["arguments"] for piece in others)
            assert arguments == '{"a": 1}'
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"

    @pytest.mark.usefixtures("worker")
    def test_no_function_is_called_if_none_may_be(self, http: FlaskClient) -> None:
        completion = complete(http, tools=[NESTED], tool_choice="none")
        one = complete(http, tools=[NESTED], parallel_tool_calls=False)

        assert "tool_calls" not in message_of(completion)
        assert len(message_of(one)["tool_calls"]) == 1


class TestCustomTools:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"script_text": f"{PATCH_CALL}\fDone."})

    @pytest.mark.usefixtures("worker")
    def test_they_are_called_with_text_and_answered(self, http: FlaskClient) -> None:
        asked = message_of(complete(http, tools=[CUSTOM]))

        [call] = asked["tool_calls"]
        output = {"role": "tool", "tool_call_id": call["id"], "content": "Success."}
        answer = complete(http, USER, asked, output, tools=[CUSTOM])

        assert call["custom"] == {"name": "apply_patch", "input": "*** Begin Patch"}
        assert message_of(answer)["content"] == "Done."

    @pytest.mark.usefixtures("worker")
    def test_their_input_is_streamed(self, http: FlaskClient) -> None:
        chunks = stream(http, tools=[CUSTOM])

        deltas = (chunk["choices"][0]["delta"] for chunk in chunks)
        pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
        assert pieces[0]["custom"]["name"] == "apply_patch"
        assert "".join(piece["custom"]["input"] for piece in pieces) == "*** Begin Patch"
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


class TestReasoning:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"script_text": REASONED})

    @pytest.mark.usefixtures("worker")
    def test_it_is_beside_the_text_and_goes_back_to_the_model(self, http: FlaskClient) -> None:
        first = complete(http)
        message = message_of(first)

        second = complete(http, USER, message, USER)

        assert message["content"] == "Hello!"
        assert message["reasoning_content"] == REASONING
        assert first["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
        turns = ["Hello.", f"<think>\n{REASONING}\n</think>\n\nHello!", "Hello."]
        assert second["usage"]["prompt_tokens"] == len("\n".join(turns))

    @pytest.mark.usefixtures("worker")
    def test_it_is_streamed(self, http: FlaskClient) -> None:
        chunks = stream(http)

        assert text_of(chunks, "reasoning_content") == REASONING
        assert text_of(chunks) == "Hello!"

    @pytest.mark.usefixtures("worker")
    def test_no_effort_shows_none(self, http: FlaskClient) -> None:
        message = message_of(complete(http, reasoning_effort="none"))

        assert "reasoning_content" not in message

    @pytest.mark.usefixtures("worker")
    def test_a_limit_within_it_leaves_no_text(self, http: FlaskClient) -> None:
        [choice] = complete(http, max_tokens=20)["choices"]

        assert choice["message"]["content"] == ""
        assert choice["finish_reason"] == "length"


class TestSearch:
    @pytest.fixture
    def web(self) -> Iterator[FakeSearxng]:
        with FakeSearxng(PAGES) as fake:
            yield fake

    @pytest.fixture
    def settings(self, settings: Settings, web: FakeSearxng) -> Settings:
        changes = {"script_text": "\f".join(SEARCH_TURNS), "searxng_url": web.url}
        return settings.model_copy(update=changes)

    @pytest.mark.usefixtures("worker")
    def test_the_text_cites_what_was_found(self, http: FlaskClient, web: FakeSearxng) -> None:
        message = message_of(complete(http, web_search_options={}))

        assert web.queries == ["seven"]
        [annotation] = message["annotations"]
        cited = annotation["url_citation"]
        assert message["content"][cited["start_index"] : cited["end_index"]] == "[1]"
        assert cited["url"] == "https://a.example/1"


def test_a_search_needs_a_provider(http: FlaskClient) -> None:
    answer = post(http, web_search_options={})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("search_not_configured", "web_search_options")
