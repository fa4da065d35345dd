"""GET /v1/models: the served models."""

import pytest
from flask.testing import FlaskClient

from models.profile.weights import SCRIPTED_MODEL
from tests.integration.api.requests import create, error_of, parsed


def test_it_works(http: FlaskClient) -> None:
    answer = http.get("/v1/models")

    assert answer.status_code == 200
    listed = parsed(answer)
    assert listed["object"] == "list"
    [model] = listed["data"]
    assert set(model) == {"id", "object", "created", "owned_by"}
    assert (model["id"], model["object"]) == (SCRIPTED_MODEL, "model")


def test_a_listed_model_can_be_read(http: FlaskClient) -> None:
    [model] = parsed(http.get("/v1/models"))["data"]

    answer = http.get(f"/v1/models/{model['id']}")

    assert answer.status_code == 200
    assert parsed(answer) == model


def test_a_listed_model_can_be_asked(http: FlaskClient) -> None:
    [model] = parsed(http.get("/v1/models"))["data"]

    assert create(http, model=model["id"])["model"] == model["id"]


@pytest.mark.parametrize("model", ["other", "owner/other", "Scripted", "%00"])
def test_a_model_that_is_not_served_is_not_found(http: FlaskClient, model: str) -> None:
    answer = http.get(f"/v1/models/{model}")

    assert answer.status_code == 404
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
