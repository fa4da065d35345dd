"""Requests drawn from our own OpenAPI document: none is answered by a 5xx or against the document.

A slice of a minute runs with the tests; `make fuzz` sets FUZZ_SECONDS and takes its time.
"""

import os
import time
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.api.requests import create, create_and_wait, parsed

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
HELLO = {"role": "user", "content": "Hello."}

Ids = dict[str, list[str]]


def made_anew(http: FlaskClient) -> Ids:
    """Ids of what there is to be read, changed and deleted."""
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
@pytest.mark.timeout(FUZZ_SECONDS + 120)
def test_nothing_that_can_be_asked_breaks_the_server(app: OpenAPI, http: FlaskClient) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    found = list(schema.get_all_operations())
    assert [repr(each.err()) for each in found if not hasattr(each, "ok")] == []
    # What deletes comes last in each round, else there is little to be read.
    operations = sorted((each.ok() for each in found), key=lambda each: each.method == "delete")
    ends_at = time.monotonic() + FUZZ_SECONDS
    round_number = 0
    while time.monotonic() < ends_at:
        ids = made_anew(http)
        for operation in operations:
            if time.monotonic() < ends_at:
                fuzz(operation, ids, round_number)
        round_number += 1
    assert round_number > 0


def fuzz(operation: Any, ids: Ids, round_number: int) -> None:
    """Some requests of one operation; the first that is answered wrongly fails the test."""

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
        case.validate_response(response, checks=CHECKS)

    ask()
