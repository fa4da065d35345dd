"""POST /v1/responses/compact: a conversation as one encrypted item, and turns that follow it."""

from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.chat.scripted_encoder import ScriptedEncoder
from models.profile.weights import SCRIPTED_MODEL
from tests.integration.api.requests import create_and_wait, error_of, parsed, text_of
from tests.integration.conftest import RunSql

SAID = [
    {"role": "user", "content": "We launch on Tuesday."},
    {"role": "assistant", "content": "Understood."},
    {"role": "user", "content": "And notify support."},
]


def compact(http: FlaskClient, **body: Any) -> TestResponse:
    return http.post("/v1/responses/compact", json={"model": SCRIPTED_MODEL, "input": SAID, **body})


@pytest.mark.usefixtures("worker")
def test_it_works(http: FlaskClient) -> None:
    answer = compact(http, prompt_cache_key="k", instructions="Be brief.")

    made = parsed(answer)
    assert set(made) == {"id", "object", "created_at", "output", "usage"}
    assert made["object"] == "response.compaction"
    compaction, *kept = made["output"]
    assert set(compaction) == {"type", "id", "encrypted_content"}
    assert compaction["type"] == "compaction"
    assert [text_of({"output": [item]}) for item in kept] == [
        SAID[0]["content"],
        SAID[2]["content"],
    ]
    assert all(item["id"] and item["status"] == "completed" for item in kept)
    assert made["usage"]["output_tokens"] > 0


@pytest.mark.usefixtures("worker")
def test_a_conversation_far_too_long_for_a_prompt_is_summarised_all_the_same(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedEncoder, "context_length", 1000)
    monkeypatch.setattr("models.chat.scripted_encoder._MAX_BYTES", 2000)
    long_ago = [{"role": "user", "content": "x" * 3000}, SAID[1]]

    made = parsed(compact(http, input=[*long_ago, *SAID]))

    _, *kept = made["output"]
    assert [text_of({"output": [item]}) for item in kept] == [
        SAID[0]["content"],
        SAID[2]["content"],
    ]


@pytest.mark.usefixtures("worker")
def test_the_model_reads_encrypted_items(http: FlaskClient) -> None:
    made = parsed(compact(http))
    summary = text_of(create_and_wait(http))  # the scripted engine writes the same text each time

    turn = create_and_wait(http, input=[*made["output"], {"role": "user", "content": "Go on."}])

    said = [
        "Summary of the conversation so far:\n\n" + summary,
        SAID[0]["content"],
        SAID[2]["content"],
        "Go on.",
    ]
    assert turn["usage"]["input_tokens"] == len("\n".join(said))
    items = parsed(http.get(f"/v1/responses/{turn['id']}/input_items?order=asc"))["data"]
    assert items[0]["encrypted_content"] == made["output"][0]["encrypted_content"]
    again = create_and_wait(http, previous_response_id=turn["id"])
    assert again["usage"]["input_tokens"] > turn["usage"]["input_tokens"]


@pytest.mark.usefixtures("worker")
def test_a_chain_is_compacted_whole(http: FlaskClient) -> None:
    first = create_and_wait(http, input="One.")

    made = parsed(compact(http, input=None, previous_response_id=first["id"]))
    longer = parsed(compact(http, input="Two.", previous_response_id=first["id"]))

    assert [item["content"][0]["text"] for item in longer["output"][1:]] == ["One.", "Two."]
    assert longer["usage"]["input_tokens"] - made["usage"]["input_tokens"] == len("Two.\n")


@pytest.mark.usefixtures("worker")
def test_nothing_of_it_is_kept(http: FlaskClient, client: redis.Redis, sql: RunSql) -> None:
    compact(http)

    assert sql("SELECT count(*) FROM items") == [(0,)]
    assert parsed(http.get("/v1/responses"))["data"] == []
    assert client.keys("antiphon:unstored:*") == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": None}, 400, "model"),
        ({"model": "other"}, 404, "model"),
        ({"input": None}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"colour": "red"}, 400, "colour"),
        ({"input": [SAID[0], {"type": "computer_call"}]}, 400, "input[1].type"),
        ({"previous_response_id": "resp_x"}, 404, "previous_response_id"),
        ({"prompt_cache_key": "k" * 65}, 400, "prompt_cache_key"),
        ({"prompt_cache_options": {"prewarm": True}}, 400, "prompt_cache_options.prewarm"),
    ],
)
def test_what_cannot_be_compacted_is_refused_by_name(
    http: FlaskClient, body: dict[str, Any], status: int, param: str
) -> None:
    answer = compact(http, **body)

    assert answer.status_code == status
    assert error_of(answer)["param"] == param


def test_the_model_is_required(http: FlaskClient) -> None:
    answer = http.post("/v1/responses/compact", json={"input": SAID})

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "missing_required_parameter"


def test_a_compaction_that_was_not_made_here_is_refused(http: FlaskClient) -> None:
    item = {"type": "compaction", "encrypted_content": "x"}

    answer = http.post("/v1/responses", json={"input": [SAID[0], item]})

    assert answer.status_code == 400
    error = error_of(answer)
    assert error["code"] == "invalid_encrypted_content"
    assert error["param"] == "input[1].encrypted_content"
