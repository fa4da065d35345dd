"""What the workers of a model cannot do is refused by name when it is asked for."""

from flask.testing import FlaskClient

from models.engine_capabilities import EngineCapabilities
from models.profile.weights import SCRIPTED_MODEL
from tests.integration.api.chat.completions import USER, post
from tests.integration.api.requests import create, error_of, parsed
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk

SMALL = EngineCapabilities(max_context=100)


def test_an_input_that_a_worker_cannot_hold_is_refused(http: FlaskClient, desk: Desk) -> None:
    desk.hire()
    desk.hire(capabilities=SMALL)

    create(http, input="a" * 99)
    answer = http.post("/v1/responses", json={"input": "a" * 100})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")
    assert "the context of scripted is 100" in error["message"]


def test_so_it_is_in_a_chat(http: FlaskClient, desk: Desk) -> None:
    desk.hire(capabilities=SMALL)

    error = error_of(post(http, USER | {"content": "a" * 100}))

    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")


def test_models_are_listed_with_what_their_workers_hold(http: FlaskClient, desk: Desk) -> None:
    desk.hire(capabilities=SMALL)

    listed = parsed(http.get(f"/v1/models/{SCRIPTED_MODEL}"))

    assert listed["context_length"] == 100


def test_workers_of_other_models_do_not_count(http: FlaskClient, desk: Desk) -> None:
    desk.hire(model="other", capabilities=SMALL)

    create(http, input="a" * 100)


def test_workers_of_the_previous_release_publish_nothing(
    http: FlaskClient, desk: Desk, sql: RunSql
) -> None:
    desk.hire(capabilities=SMALL)
    sql("UPDATE workers SET capabilities = NULL")

    create(http, input="a" * 100)
