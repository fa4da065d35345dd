"""GET /v1/models: the served models and their other names."""

import pytest
from flask.testing import FlaskClient

from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings, SettingsError
from tests.integration.api.requests import create, error_of, parsed
from tests.integration.conftest import running_app

ALIASES = {"gpt-5.5": SCRIPTED_MODEL, "gpt-5.5-mini": SCRIPTED_MODEL}


def test_it_works(http: FlaskClient) -> None:
    answer = http.get("/v1/models")

    assert answer.status_code == 200
    listed = parsed(answer)
    assert listed["object"] == "list"
    model, default = listed["data"]
    assert model.pop("created") > 1_700_000_000
    assert model == {
        "id": SCRIPTED_MODEL,
        "object": "model",
        "owned_by": "antiphon",
        "root": SCRIPTED_MODEL,
        "aliases": ["default"],
        "context_length": 1 << 20,
        "capabilities": {"images": False, "tools": True, "reasoning": False},
    }
    assert (default["id"], default["root"]) == ("default", SCRIPTED_MODEL)


def test_a_listed_model_can_be_read(http: FlaskClient) -> None:
    for model in parsed(http.get("/v1/models"))["data"]:
        answer = http.get(f"/v1/models/{model['id']}")

        assert answer.status_code == 200
        assert parsed(answer) == model


def test_a_listed_model_can_be_asked(http: FlaskClient) -> None:
    for model in parsed(http.get("/v1/models"))["data"]:
        assert create(http, model=model["id"])["model"] == SCRIPTED_MODEL


@pytest.mark.parametrize("model", ["other", "owner/other", "Scripted", "%00"])
def test_a_model_that_is_not_served_is_not_found(http: FlaskClient, model: str) -> None:
    answer = http.get(f"/v1/models/{model}")

    assert answer.status_code == 404
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("model_not_found", "model")


def test_other_names_are_those_of_the_setting(settings: Settings) -> None:
    with running_app(settings.model_copy(update={"model_aliases": ALIASES})) as app:
        http = app.test_client()
        listed = parsed(http.get("/v1/models"))["data"]
        created = create(http, model="gpt-5.5")
        unknown = error_of(http.post("/v1/responses", json={"input": "a", "model": "gpt-4"}))

    assert [model["id"] for model in listed] == [SCRIPTED_MODEL, "default", *ALIASES]
    assert listed[0]["aliases"] == ["default", *ALIASES]
    assert created["model"] == SCRIPTED_MODEL
    assert "'gpt-5.5-mini'" in unknown["message"]


@pytest.mark.parametrize(
    ("aliases", "fault"),
    [({"a": "other"}, "'other' is not served"), ({SCRIPTED_MODEL: SCRIPTED_MODEL}, "is itself")],
)
def test_an_alias_of_what_is_not_served_is_refused_at_the_start(
    settings: Settings, aliases: dict[str, str], fault: str
) -> None:
    changed = settings.model_copy(update={"model_aliases": aliases})

    with pytest.raises(SettingsError, match=fault), running_app(changed):
        pass
