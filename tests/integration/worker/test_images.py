"""Responses to images, from the request to a vision model's answer."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.engine_capabilities import EngineCapabilities
from models.profile.weights import served_model_id
from models.settings import Settings
from tests.integration.api.requests import error_of, parsed
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
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


def test_what_the_workers_of_other_settings_cannot_do_is_refused_by_name(
    http: FlaskClient, desk: Desk, settings: Settings
) -> None:
    plain = EngineCapabilities(reads_images=False, constrains_output=False)
    desk.hire(model=served_model_id(settings), capabilities=plain)
    content = [{"type": "input_image", "image_url": picture_url(0)}]
    chosen = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}

    image = http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
    schema = http.post("/v1/responses", json={"input": "a", "text": {"format": chosen}})

    assert (image.status_code, schema.status_code) == (400, 400)
    assert error_of(image)["param"] == "input[0].content[0].type"
    assert error_of(schema)["param"] == "text.format.schema"
    assert parsed(http.get("/v1/models"))["data"][0]["capabilities"]["images"] is False


def test_a_worker_publishes_that_it_takes_images(make_worker: MakeWorker, sql: RunSql) -> None:
    make_worker()

    [[published]] = sql("SELECT capabilities FROM workers")

    assert published["reads_images"] is published["constrains_output"] is True
    assert published["max_context"] > 0
