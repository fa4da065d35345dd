from typing import Any

import pytest
from flask.testing import FlaskClient

from models.schemas.response import ResponseResource
from tests.integration.api.requests import (
    create,
    create_and_wait,
    events,
    fetch,
    parsed,
    text_of,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.in_process import InProcessWorker

_SCRIPT = "This answer is scripted: no model has read the prompt, and nothing in it is meant.\n"


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello."})

    assert answer.status_code == 200
    response = parsed(answer)
    assert response["status"] == "completed"
    assert response["completed_at"] >= response["created_at"]
    assert text_of(response) == _SCRIPT
    assert fetch(http, response["id"]) == response


def test_a_background_response_is_answered_while_it_is_queued(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    queued = create(http)
    assert (queued["status"], queued["output"], queued["usage"]) == ("queued", [], None)

    make_worker()
    finished = create_and_wait(http)

    assert finished["status"] == "completed"
    assert text_of(finished) == _SCRIPT


_ONLY_IF_GIVEN = {
    *("access_programs", "antiphon", "conversation", "image", "prompt_cache_options"),
    *("prompt_cache_retention", "user"),
}
"""Fields that are not in the specification, and absent unless the request has them."""


def test_the_answer_has_every_field_of_the_specification(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    finished = create_and_wait(http)

    for response in (create(http), finished):
        assert set(response) == set(ResponseResource.model_fields) - _ONLY_IF_GIVEN
        assert len(response) == 31


def test_what_was_asked_for_is_told_back(http: FlaskClient) -> None:
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 7,
        "metadata": {"a": "b"},
        "prompt_cache_key": "key",
        "safety_identifier": "user",
        "temperature": 0.5,
        "top_p": 0.25,
    }

    response = create(http, **asked)

    assert asked.items() <= response.items()
    assert asked.items() <= fetch(http, response["id"]).items()


def test_how_tokens_are_drawn_is_stored_and_told_back_as_far_as_the_object_has_it(
    http: FlaskClient, sql: RunSql
) -> None:
    echoed = {"frequency_penalty": 0.5, "presence_penalty": -2.0}
    stored = {"repetition_penalty": 1.1, "top_k": 40, "min_p": 0.05, "logit_bias": {"7": -100.0}}
    stored |= {"dry_multiplier": 0.8, "dry_sequence_breakers": ["ab"], "ignore_eos": True}

    response = create(http, **echoed, **stored, max_tokens=9)

    assert echoed.items() <= response.items()
    assert response["max_output_tokens"] == 9
    assert not stored.keys() & response.keys()
    [(parameters,)] = sql("SELECT parameters FROM responses")
    assert (echoed | stored | {"max_output_tokens": 9}).items() <= parameters.items()


def test_a_response_that_asks_for_every_kind_of_sampling_is_generated(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    asked: dict[str, Any] = {
        "top_k": 5,
        "min_p": 0.1,
        "frequency_penalty": 1,
        "presence_penalty": 1,
    }
    asked |= {"repetition_penalty": 1.2, "dry_multiplier": 0.8, "logit_bias": {"275": 5}}

    response = create_and_wait(http, **asked)

    assert response["status"] == "completed"
    assert text_of(response) == _SCRIPT


def test_values_that_were_left_out_are_those_in_force(http: FlaskClient) -> None:
    response = create(http)

    assert (response["temperature"], response["top_p"]) == (1.0, 1.0)
    assert (response["frequency_penalty"], response["presence_penalty"]) == (0.0, 0.0)
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert (response["store"], response["background"]) == (True, True)
    assert response["metadata"] == {}


@pytest.mark.parametrize(
    "model", [{}, {"model": None}, {"model": "default"}, {"model": "scripted"}]
)
def test_the_served_model_may_be_left_out_or_named(
    http: FlaskClient, model: dict[str, Any]
) -> None:
    assert create(http, **model)["model"] == "scripted"


def test_the_usage_counts_prompt_and_output(http: FlaskClient, worker: InProcessWorker) -> None:
    usage = create_and_wait(http, input="12345", max_output_tokens=3)["usage"]

    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (5, 3, 8)


def test_an_output_that_reaches_its_limit_is_incomplete(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    response = create_and_wait(http, max_output_tokens=3)

    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["completed_at"] is None
    assert response["output"][-1]["status"] == "incomplete"
    assert text_of(response) == "This answer is"


@pytest.mark.parametrize("stop", ["scripted", [" nothing", " scripted"]])
def test_an_output_ends_before_a_stop_string(
    http: FlaskClient, worker: InProcessWorker, stop: str | list[str]
) -> None:
    response = create_and_wait(http, stop=stop)

    assert response["status"] == "completed"
    assert text_of(response).rstrip() == "This answer is"


def test_a_second_turn_sees_the_first(http: FlaskClient, worker: InProcessWorker) -> None:
    first = create_and_wait(http, input="One.", instructions="Not for the next turn.")

    second = create_and_wait(http, input="Two.", previous_response_id=first["id"])

    assert second["previous_response_id"] == first["id"]
    assert second["instructions"] is None
    assert second["usage"]["input_tokens"] == len(f"One.\n{_SCRIPT}\nTwo.")


def test_a_streamed_answer_ends_with_the_same_object(
    http: FlaskClient, worker: InProcessWorker
) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello.", "stream": True})

    last = events(answer)[-1]

    assert last["type"] == "response.completed"
    assert fetch(http, last["response"]["id"]) == last["response"]


def test_ids_that_clients_gave_to_their_items_are_kept(http: FlaskClient, sql: RunSql) -> None:
    items = [{"id": "mine", "role": "user", "content": "a"}, {"role": "user", "content": "b"}]

    response = create(http, input=items)

    digits = response["id"].removeprefix("resp_")
    found = sql("SELECT body ->> 'id' FROM items ORDER BY position")
    assert found == [("mine",), (f"msg_{digits}_in1",)]
