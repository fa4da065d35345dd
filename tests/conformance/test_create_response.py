"""Contract of POST /v1/responses, tested field by field with the table in `rows`."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.services import Services
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.unsupported import UNSERVED_FIELDS
from tests.conformance.rows import ROWS
from tests.integration.api.requests import error_of, parsed
from worker.engine.interface import GenerationRequest
from worker.engine.scripted import ScriptedEngine

Requests = list[GenerationRequest]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """Record the requests to the engine; the scripted engine accepts any grammar."""
    seen: Requests = []
    submit = ScriptedEngine.submit

    def record_request(self: ScriptedEngine, request: GenerationRequest) -> None:
        seen.append(request)
        submit(self, request)

    monkeypatch.setattr(ScriptedEngine, "submit", record_request)
    monkeypatch.setattr(Services, "check_grammar", lambda *_, **__: None)
    return seen


def ask(http: FlaskClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/v1/responses", json={"input": "Hello."} | body)
    assert answer.status_code == 200, (body, answer.text)
    return parsed(answer)


def is_unserved(name: str, *bodies: dict[str, Any]) -> bool:
    """Return True if a field of the bodies is known and not supported."""
    return not UNSERVED_FIELDS.keys().isdisjoint({name}.union(*bodies))


def test_every_field_has_its_row() -> None:
    assert set(ROWS) == set(CreateResponse.model_fields)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("name", ROWS)
def test_a_field_does_what_it_says_or_is_refused_by_name(
    http: FlaskClient, requests: Requests, name: str
) -> None:
    row = ROWS[name]
    for body, expected in row.shown:
        if not is_unserved(name, body):
            response = ask(http, body)
            assert {key: response[key] for key in expected} == expected, body
    for body, is_as_asked in row.asked:
        if not is_unserved(name, body):
            requests.clear()
            ask(http, body)
            assert requests, body
            assert all(map(is_as_asked, requests)), (body, requests)
    for body, code, param in row.refused:
        answer = http.post("/v1/responses", json={"input": "Hello."} | body)
        assert 400 <= answer.status_code < 500, body
        if not is_unserved(name, body):
            error = error_of(answer)
            assert (error["code"], error["param"]) == (code, param), body


@pytest.mark.parametrize(
    "name", ["adapter", "files", "moderation", "personality", "prompt", "max_tool_rounds"]
)
def test_a_field_that_is_known_and_not_served_is_refused_by_name(
    http: FlaskClient, name: str
) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello.", name: {"a": 1}})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("unsupported_parameter", name)


@pytest.mark.parametrize("name", ["best_of", "min_tokens", "cache_salt", "__proto__", "Input"])
def test_a_field_that_nobody_knows_is_refused_by_name(http: FlaskClient, name: str) -> None:
    answer = http.post("/v1/responses", json={"input": "Hello.", name: 1})

    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("unknown_parameter", name)
