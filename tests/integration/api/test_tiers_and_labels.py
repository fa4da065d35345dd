"""Fields about how a request is treated: service tier, truncation, stream options, labels."""

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from models.chat.scripted_encoder import ScriptedEncoder
from models.ids import response_wire_id
from tests.integration.api.requests import (
    create,
    create_and_wait,
    error_of,
    event_of,
    frames,
    parsed,
    stream,
)
from tests.integration.desk import Desk
from worker.generation.request.engine_request import cache_salt


def test_a_higher_tier_is_claimed_first(http: FlaskClient, desk: Desk) -> None:
    tiers = ["flex", "default", "auto", "priority"]
    created = {tier: create(http, service_tier=tier) for tier in tiers}
    worker = desk.hire()

    claimed = [response_wire_id(desk.claim(worker).id) for _ in tiers]

    order = ["priority", "default", "auto", "flex"]
    assert claimed == [created[tier]["id"] for tier in order]
    echoed = {tier: response["service_tier"] for tier, response in created.items()}
    assert echoed == {t: t for t in tiers} | {"auto": "default"}


def test_labels_are_stored_and_echoed(http: FlaskClient) -> None:
    labels = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k"}

    made = create(http, **labels, metadata={"a": "b"})

    assert {name: made[name] for name in labels} == labels
    assert made["metadata"] == {"a": "b"}
    assert "user" not in create(http)


@pytest.mark.parametrize("store", [True, False])
def test_an_end_user_is_stored_as_a_digest(http: FlaskClient, desk: Desk, store: bool) -> None:
    for user in ("somebody", "somebody", "another"):
        create(http, user=user, store=store)
    create(http, store=store)

    [one, same, other, nobody] = [
        row[0] for row in desk.sql("SELECT end_user FROM responses ORDER BY id")
    ]
    assert one == same
    assert len({one, other, nobody}) == 3
    assert nobody == 0


def test_a_cache_key_keeps_prefixes_apart() -> None:
    salts = [
        cache_salt("p", None),
        cache_salt("p", "a"),
        cache_salt("p", "b"),
        cache_salt("q", "a"),
    ]

    assert len(set(salts)) == len(salts)
    assert cache_salt("p", "a") == cache_salt("p", "a")


def is_padded(frame: bytes) -> bool:
    return "obfuscation" in event_of(frame)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, True), ({"include_obfuscation": True}, True), ({"include_obfuscation": False}, False)],
)
def test_deltas_are_padded_unless_asked_otherwise(
    http: FlaskClient, options: dict[str, Any], expected: bool
) -> None:
    body = {"input": "Hello.", "stream": True, "stream_options": options or None}

    live = list(frames(http.post("/v1/responses", json=body)))[:-1]
    response_id = event_of(live[0])["response"]["id"]
    again = list(frames(stream(http, response_id)))[:-1]
    other = list(
        frames(http.get(f"/v1/responses/{response_id}?stream=true&include_obfuscation=false"))
    )[:-1]

    deltas = [frame for frame in live if b"output_text.delta" in frame]
    assert {is_padded(frame) for frame in deltas} == {expected}
    assert again == live
    assert not any(is_padded(frame) for frame in other)


@pytest.mark.usefixtures("worker")
def test_a_stream_tells_its_usage_at_its_end(http: FlaskClient) -> None:
    body = {"input": "Hello.", "stream": True, "stream_options": {"include_usage": False}}

    *_, last, _done = frames(http.post("/v1/responses", json=body))

    assert event_of(last)["response"]["usage"]["input_tokens"] == len("Hello.")


def test_stream_options_go_with_a_stream(http: FlaskClient) -> None:
    body = {"input": "Hello.", "stream_options": {"include_usage": True}}

    answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "stream_options"


@pytest.mark.usefixtures("worker")
def test_what_is_too_long_is_cut_where_that_is_wanted(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedEncoder, "context_length", 200)
    old = [{"role": role, "content": "x" * 60} for role in ("user", "assistant") * 2]
    body = {
        "instructions": "Be brief.",
        "input": [*old, {"role": "user", "content": "New."}],
        "background": True,
    }

    refused = http.post("/v1/responses", json=body)
    cut = create_and_wait(http, **body, truncation="auto")
    too_long = http.post(
        "/v1/responses", json={"input": "x" * 200, "truncation": "auto", "background": True}
    )

    assert error_of(refused)["code"] == "context_length_exceeded"
    assert cut["truncation"] == "auto"
    said = ["Be brief.", "x" * 60, "x" * 60, "New."]
    assert cut["usage"]["input_tokens"] == len("\n".join(said))
    assert error_of(too_long)["code"] == "context_length_exceeded"


@pytest.mark.usefixtures("worker")
def test_input_tokens_are_counted_as_the_worker_does(http: FlaskClient) -> None:
    first = create_and_wait(http, input="One.", instructions="Not inherited.")
    body = {"input": "Two.", "instructions": "Be brief.", "previous_response_id": first["id"]}

    answer = http.post("/v1/responses/input_tokens", json=body)

    counted = create_and_wait(http, **body)["usage"]["input_tokens"]
    assert parsed(answer) == {"object": "response.input_tokens", "input_tokens": counted}


def test_input_tokens_are_counted_also_of_what_is_too_long(http: FlaskClient) -> None:
    body = {"input": "x" * ScriptedEncoder.context_length}

    answer = http.post("/v1/responses/input_tokens", json=body)

    assert parsed(answer)["input_tokens"] == ScriptedEncoder.context_length


def test_input_tokens_are_not_counted_of_what_is_far_too_long(http: FlaskClient) -> None:
    body = {"input": "x" * (2 * ScriptedEncoder.context_length + 1)}

    answer = http.post("/v1/responses/input_tokens", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["code"] == "context_length_exceeded"
    assert (
        f"at least {2 * ScriptedEncoder.context_length + 1} tokens" in error_of(answer)["message"]
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "input"), ({"input": "x", "model": "other"}, "model"), ({"input": "x", "a": 1}, "a")],
)
def test_what_cannot_be_counted_is_refused_by_name(
    http: FlaskClient, body: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/responses/input_tokens", data=orjson.dumps(body), headers=JSON)

    assert answer.status_code in (400, 404)
    assert error_of(answer)["param"] == param


JSON = {"content-type": "application/json"}
