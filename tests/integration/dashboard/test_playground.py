"""The playground: a control for every field, live checks, and requests as the API runs them."""

import re
from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from api.dashboard.playground.form import REST, make_form
from models.schemas.request.create_response import CreateResponse
from models.settings import Settings
from tests.integration.api.requests import create, parsed
from tests.integration.dashboard.conftest import LOOKS, SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk

PAGE = "/dashboard/playground"
_CONTROL = re.compile(r'data-field="([a-z_]+)" data-kind="([a-z]+)"')
_INITIAL = re.compile(r'<textarea id="initial"[^>]*>(.*?)</textarea>', re.DOTALL)


def send(visitor: Visitor, path: str, **body: Any) -> TestResponse:
    return visitor.http.post(
        f"{PAGE}/{path}", json=body, headers={"X-CSRF-Token": visitor.token(PAGE)}
    )


def test_every_field_of_a_request_has_a_control(visitor: Visitor) -> None:
    controls = dict(_CONTROL.findall(visitor.page(PAGE)))

    assert controls.keys() == CreateResponse.model_fields.keys() - {"stream"}
    assert {name: controls[name] for name in ("input", "seed", "background", "tools", "user")} == {
        "input": "prose", "seed": "number", "background": "choice", "tools": "json",
        "user": "text",
    }  # fmt: skip


def test_a_new_field_appears_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = CreateResponse.model_json_schema()
    schema["properties"]["novelty"] = {"anyOf": [{"type": "string", "enum": ["a", "b"]}]}
    monkeypatch.setattr(CreateResponse, "model_json_schema", lambda: schema)

    groups = make_form.__wrapped__()

    assert groups[-1].title == REST
    [field] = [field for field in groups[-1].fields if field.name == "novelty"]
    assert (field.control, field.choices) == ("choice", ("a", "b"))


def test_a_stored_response_is_opened_with_its_request(visitor: Visitor) -> None:
    given = {"input": "Say </textarea><script>alert(1)</script>.", "temperature": 0.5, "seed": 7}
    response_id = create(visitor.http, **given, metadata={"team": "blue"})["id"]

    page = visitor.page(f"{PAGE}?from={response_id}")

    found = _INITIAL.search(page)
    assert found
    assert "<script>alert" not in page
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"')
    body = orjson.loads(text.replace("&amp;", "&"))
    assert given.items() <= body.items()
    assert body["metadata"] == {"team": "blue"}


def test_a_request_that_would_be_accepted_is_counted(visitor: Visitor, desk: Desk) -> None:
    answer = send(visitor, "check", input="Hello.", temperature=1)

    assert answer.status_code == 200
    assert parsed(answer)["input_tokens"] > 0
    assert desk.sql("SELECT count(*) FROM responses") == [(0,)]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "A.", "temperature": 9}, "temperature"),
        ({"input": "A.", "novelty": 1}, "novelty"),
        ({"input": "A.", "model": "another"}, "model"),
        ({"input": "A.", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "A.", "previous_response_id": "resp_" + "0" * 32}, "previous_response_id"),
        ({"input": "A.", "grammar": {"type": "regex", "value": "("}}, "grammar.value"),
        ({}, "input"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(
    visitor: Visitor, body: dict[str, Any], param: str
) -> None:
    answer = send(visitor, "check", **body)

    assert answer.status_code in (400, 404)
    assert parsed(answer)["error"]["param"] == param


@pytest.mark.usefixtures("worker")
def test_a_request_is_run_as_by_the_api(visitor: Visitor) -> None:
    whole = parsed(send(visitor, "responses", input="Hello."))
    streamed = send(visitor, "responses", input="Hello.", stream=True)
    background = parsed(send(visitor, "responses", input="Hello.", background=True))

    assert whole["status"] == "completed"
    assert streamed.mimetype == "text/event-stream"
    assert b"event: response.completed" in streamed.data
    assert background["status"] == "queued"


def test_a_bad_request_is_refused_as_by_the_api(visitor: Visitor) -> None:
    answer = send(visitor, "responses", input="Hello.", temperature=9)

    assert answer.status_code == 400
    error = visitor.http.post("/v1/responses", json={"input": "Hello.", "temperature": 9})
    assert answer.data == error.data


def test_a_request_without_a_token_runs_nothing(visitor: Visitor, desk: Desk) -> None:
    answer = visitor.http.post(f"{PAGE}/responses", json={"input": "Hi.", "background": True})

    assert answer.status_code == 403
    assert desk.sql("SELECT count(*) FROM responses") == [(0,)]


def test_who_only_looks_has_no_playground(sign_in: SignIn) -> None:
    visitor = sign_in(LOOKS)

    assert visitor.open(PAGE).status_code == 403
    assert PAGE not in visitor.page("/dashboard/responses")


def test_a_project_runs_its_own_requests(sign_in: SignIn, desk: Desk) -> None:
    theirs = desk.create()
    desk.add_project("mine")
    visitor = sign_in(project_id="mine")

    created = parsed(
        visitor.http.post(
            f"{PAGE}/responses",
            json={"input": "Mine.", "background": True},
            headers={"X-CSRF-Token": visitor.token("/dashboard/responses")},
        )
    )

    [(project_id,)] = desk.sql(
        "SELECT project_id FROM responses WHERE id = %s", created["id"].removeprefix("resp_")
    )
    assert project_id == "mine"
    assert visitor.open(f"{PAGE}?from=resp_{theirs.id.hex}").status_code == 404


def test_models_that_are_served_are_suggested(visitor: Visitor, settings: Settings) -> None:
    assert '<option value="scripted">' in visitor.page(PAGE)
