"""Requests generated from our own OpenAPI document: no 5xx, and no response that violates it.

A short run is part of the tests; `make fuzz` sets FUZZ_INPUTS for a longer one.
"""

from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.fuzzing import NUM_INPUTS, SECONDS_PER_INPUT, Tally, check_error
from tests.integration.api.requests import create, create_and_wait, parsed

NUM_CASES = NUM_INPUTS // 4
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
HELLO = {"role": "user", "content": "Hello."}

Ids = dict[str, list[str]]


def create_resources(http: FlaskClient) -> Ids:
    """Create resources to be read, changed and deleted; return their ids."""
    conversation = parsed(http.post("/v1/conversations", json={"items": [HELLO]}))
    item = parsed(http.get(f"/v1/conversations/{conversation['id']}/items"))["data"][0]
    response = create_and_wait(http)
    return {
        "conversation_id": [conversation["id"]],
        "response_id": [response["id"], create(http)["id"]],
        "item_id": [item["id"]],
        "model": [response["model"]],
    }


@pytest.mark.usefixtures("worker")
@pytest.mark.timeout(NUM_CASES * 4 * SECONDS_PER_INPUT + 120)
def test_nothing_that_can_be_asked_breaks_the_server(app: OpenAPI, http: FlaskClient) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    found = list(schema.get_all_operations())
    assert [repr(result.err()) for result in found if not hasattr(result, "ok")] == []
    # DELETE operations come last in each round: otherwise little is left to be read.
    operations = sorted(
        (result.ok() for result in found if isinstance(result, Ok)),
        key=lambda operation: operation.method == "delete",
    )
    tally = Tally("cases of the document")
    round_number = 0
    while tally.num_inputs < NUM_CASES:
        ids = create_resources(http)
        for operation in operations:
            if tally.num_inputs < NUM_CASES:
                fuzz(operation, ids, round_number, tally)
        round_number += 1
    tally.report()


def fuzz(operation: Any, ids: Ids, round_number: int, tally: Tally) -> None:
    """Send generated requests of one operation; fail at the first invalid response."""

    @seed(round_number)
    @settings(
        max_examples=20 if operation.method == "post" else 6,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from(MODES))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        for name in case.path_parameters or {}:
            if name in ids and data.draw(st.integers(0, 3)):
                case.path_parameters[name] = data.draw(st.sampled_from(ids[name]))
        if isinstance(case.body, dict) and "model" in case.body and data.draw(st.booleans()):
            case.body["model"] = ids["model"][0]
        response = case.call()
        tally.add(response.status_code)
        assert response.headers["x-request-id"]
        if response.status_code >= 400:
            check_error(response.content)
        case.validate_response(response, checks=CHECKS)

    ask()
