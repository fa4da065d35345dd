"""Earlier reasoning as input: in plain text, or encrypted for this project only."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.services import Services
from models.encryption.reasoning import encrypt_reasoning
from models.tables import DEFAULT_PROJECT
from tests.integration.api.requests import create_and_wait, error_of, parsed

ASKED = {"role": "user", "content": "a"}
ANSWERED = {"role": "assistant", "content": "b"}
NEXT = {"role": "user", "content": "c"}


def reasoning(**fields: Any) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], **fields}


@pytest.fixture
def encrypted(http: FlaskClient) -> str:
    """Return a reasoning text encrypted by this server."""
    services: Services = http.application.extensions["antiphon"]
    return encrypt_reasoning(services.cipher, DEFAULT_PROJECT, "mull")


def num_tokens(http: FlaskClient, items: list[dict[str, Any]]) -> int:
    answer = http.post("/v1/responses/input_tokens", json={"input": items})
    assert answer.status_code == 200, answer.text
    return int(parsed(answer)["input_tokens"])


@pytest.mark.usefixtures("worker")
def test_the_model_reads_earlier_reasoning(http: FlaskClient, encrypted: str) -> None:
    prompt = "a\n<think>\nmull\n</think>\n\nb\nc"
    plain = reasoning(content=[{"type": "reasoning_text", "text": "mull"}])

    for item in (plain, reasoning(encrypted_content=encrypted)):
        items = [ASKED, item, ANSWERED, NEXT]
        response = create_and_wait(http, input=items)

        assert response["status"] == "completed"
        assert response["usage"]["input_tokens"] == len(prompt) == num_tokens(http, items)
        listed = parsed(http.get(f"/v1/responses/{response['id']}/input_items?order=asc"))
        assert listed["data"][1].items() >= item.items()


def test_reasoning_that_was_not_encrypted_here_is_refused_by_name(
    http: FlaskClient, encrypted: str
) -> None:
    tampered = ("B" if encrypted[0] == "A" else "A") + encrypted[1:]
    for content in ("gAAAAABfromelsewhere", tampered):
        item = reasoning(encrypted_content=content)

        refused = http.post("/v1/responses", json={"input": [ASKED, item, NEXT]})
        kept = http.post("/v1/conversations", json={"items": [item]})

        assert refused.status_code == kept.status_code == 400
        error = error_of(refused)
        assert error["code"] == "invalid_encrypted_content"
        assert error["param"] == "input[1].encrypted_content"
        assert error_of(kept)["param"] == "items[0].encrypted_content"


def test_two_names_of_the_summary_must_agree(http: FlaskClient) -> None:
    body = {"input": "a", "reasoning": {"summary": "auto", "generate_summary": "concise"}}

    answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "reasoning.generate_summary"
