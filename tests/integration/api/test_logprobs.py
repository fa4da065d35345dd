"""`logprobs`, `top_logprobs` and the values of `include`, in objects and in streams."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.integration.api.requests import create_and_wait, events
from tests.integration.in_process import InProcessWorker

_INCLUDE = {"include": ["message.output_text.logprobs"]}


def logprobs_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response["output"][0]["content"][0]["logprobs"]
    return found


@pytest.mark.parametrize("fields", [_INCLUDE, {"logprobs": True}])
def test_every_token_has_its_own(
    http: FlaskClient, worker: InProcessWorker, fields: dict[str, Any]
) -> None:
    response = create_and_wait(http, **fields)

    found = logprobs_of(response)
    assert (
        "".join(logprob["token"] for logprob in found)
        == response["output"][0]["content"][0]["text"]
    )
    assert found[0] == {
        "token": "This",
        "logprob": 0.0,
        "bytes": list(b"This"),
        "top_logprobs": [],
    }


def test_the_likeliest_come_beside_it(http: FlaskClient, worker: InProcessWorker) -> None:
    response = create_and_wait(http, **_INCLUDE, top_logprobs=2)

    assert response["top_logprobs"] == 2
    assert logprobs_of(response)[0]["top_logprobs"] == [
        {"token": "This", "logprob": 0.0, "bytes": list(b"This")},
        {"token": " answer", "logprob": -9999.0, "bytes": list(b" answer")},
    ]


def test_without_asking_there_are_none(http: FlaskClient, worker: InProcessWorker) -> None:
    assert logprobs_of(create_and_wait(http)) == []


def test_a_stream_has_them_in_deltas_and_at_the_end(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    body = {"input": "Hello.", "stream": True, "logprobs": True, "top_logprobs": 1}

    found = events(http.post("/v1/responses", json=body))

    deltas = [event for event in found if event["type"] == "response.output_text.delta"]
    assert all(event["delta"] == event["logprobs"][0]["token"] for event in deltas)
    together = [logprob for event in deltas for logprob in event["logprobs"]]
    [done] = [event for event in found if event["type"] == "response.output_text.done"]
    assert together == done["logprobs"] == logprobs_of(found[-1]["response"])
