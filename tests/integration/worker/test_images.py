"""Responses to images, from the request to a vision model's answer."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import parsed
from tests.integration.conftest import MakeWorker
from tests.pictures import picture_url
from tests.tiny_vision import write_vision_model
from tests.unit.models.tiny_tokenizer import tiny_tokenizer


@pytest.fixture(scope="module")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vision_model(tmp_path_factory.mktemp("tiny-vision"), tiny_tokenizer(), "llava")


@pytest.fixture
def settings(settings: Settings, vision_folder: Path) -> Settings:
    update = {"engine": "transformers", "model": str(vision_folder), "kv_cache_gib": 0.01}
    return settings.model_copy(update=update)


def ask(http: FlaskClient, seed: int, **fields: Any) -> Any:
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": picture_url(seed)},
    ]
    message = {"role": "user", "content": content}
    body = {"input": [message], "temperature": 0, "max_output_tokens": 8, "ignore_eos": True}
    answer = http.post("/v1/responses", json={**body, **fields})
    assert answer.status_code == 200, answer.json
    return answer.json


def text_of(response: Any) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def test_answers_follow_from_the_image_and_are_continued_with_it(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    make_worker()

    first, again = ask(http, 0), ask(http, 0)
    others = {text_of(ask(http, seed)) for seed in range(1, 5)}

    assert text_of(first) == text_of(again)
    assert again["usage"]["input_tokens_details"]["cached_tokens"] > 0
    assert others - {text_of(first)}

    follow_up = {"previous_response_id": first["id"], "input": "And its colour?"}
    answer = http.post("/v1/responses", json={**follow_up, "max_output_tokens": 4})
    assert answer.status_code == 200
    assert parsed(answer)["usage"]["input_tokens_details"]["cached_tokens"] > 16
