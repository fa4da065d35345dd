"""Several models behind one API, each with its own workers, queue and name."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.conftest import MakeWorker, running_app
from tests.polling import eventually

FIRST, SECOND = "scripted", "scripted-second"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings of two models on the scripted engine."""
    return settings.model_copy(update={"more_models": "second"})


@pytest.fixture
def http(settings: Settings) -> Iterator[FlaskClient]:
    with running_app(settings) as app:
        yield app.test_client()


def submit(http: FlaskClient, **fields: object) -> dict[str, object]:
    answer = http.post("/v1/responses", json={"input": "a", "background": True, **fields})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    body: dict[str, object] = answer.get_json()
    return body


def status(http: FlaskClient, response: dict[str, object]) -> str:
    return str(http.get(f"/v1/responses/{response['id']}").get_json()["status"])


def test_all_are_listed_and_each_can_be_read(http: FlaskClient) -> None:
    listed = [each["id"] for each in http.get("/v1/models").get_json()["data"]]

    assert listed == [FIRST, SECOND, "default"]
    assert http.get(f"/v1/models/{SECOND}").get_json()["id"] == SECOND
    assert http.get("/v1/models/third").status_code == 404


def test_a_request_goes_to_the_model_that_it_names_or_to_the_first(http: FlaskClient) -> None:
    named = [submit(http, model=model)["model"] for model in (FIRST, SECOND, "default")]

    assert named == [FIRST, SECOND, FIRST]
    assert submit(http)["model"] == FIRST


def test_a_model_that_is_not_served_is_refused_with_the_served_ones(http: FlaskClient) -> None:
    answer = http.post("/v1/responses", json={"input": "a", "model": "third"})

    assert answer.status_code == 404
    assert FIRST in answer.get_json()["error"]["message"]
    assert SECOND in answer.get_json()["error"]["message"]


def test_a_worker_takes_the_responses_of_its_model_only(
    http: FlaskClient, settings: Settings, make_worker: MakeWorker
) -> None:
    mine, other = submit(http, model=SECOND), submit(http, model=FIRST)

    make_worker(model="second", more_models="")

    eventually(lambda: status(http, mine) == "completed")
    assert status(http, other) == "queued"
    assert http.get("/readyz").status_code == 503
    make_worker(more_models="")
    eventually(lambda: status(http, other) == "completed")
    assert http.get("/readyz").status_code == 200
