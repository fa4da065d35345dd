"""Images in several turns of a conversation, answered through the API as by transformers itself."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL.Image import Image

from models.chat.template_encoder import TemplateEncoder
from models.profile.weights import Weights
from models.settings import Settings
from tests.integration.api.requests import create, parsed, wait_for_end
from tests.integration.conftest import MakeWorker
from tests.pictures import picture, picture_url
from tests.unit.worker.engine.vision_oracle import NUM_TOKENS, Vision, tiny_vision
from tests.vision_families.table import FAMILIES

FIRST, SECOND, THIRD = (1, 60, 40), (2, 24, 64), (3, 40, 40)
"""Pictures, each by a seed, its width and its height."""


OFTEN = "qwen3_vl"
"""Family that is tried at each run; the others are by night."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name == OFTEN else pytest.mark.nightly) for name in FAMILIES
    ],
)
def vision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vision:
    return tiny_vision(request.param, tmp_path_factory.mktemp("tiny-vision"))


@pytest.fixture
def settings(settings: Settings, vision: Vision) -> Settings:
    update = {"engine": "transformers", "model": str(vision.folder), "kv_cache_gib": 0.01}
    return settings.model_copy(update=update | {"dtype": "float32"})


def user(*parts: str | tuple[int, int, int]) -> dict[str, Any]:
    """Return a message of texts and pictures."""
    content = [
        {"type": "input_text", "text": part}
        if isinstance(part, str)
        else {"type": "input_image", "image_url": picture_url(*part)}
        for part in parts
    ]
    return {"type": "message", "role": "user", "content": content}


ASKED: dict[str, Any] = {
    "temperature": 0,
    "ignore_eos": True,
    "max_output_tokens": NUM_TOKENS,
    "include": ["message.output_text.logprobs"],
}


def ask(http: FlaskClient, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/responses", json={"input": [message], **ASKED, **fields})
    assert answer.status_code == 200, answer.json
    return parsed(answer)


def answer_part(response: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = response["output"][0]["content"][0]
    return part


def expected_bytes(folder: Path, token_ids: list[int]) -> list[list[int]]:
    encoder = TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))
    texts, special = encoder.token_texts(), set(encoder.tokenizer.all_special_ids)
    while token_ids[-1] in special:
        token_ids = token_ids[:-1]  # shows no text, and so has no log-probability at the end
    return [list(texts[token_id]) for token_id in token_ids]


def test_every_turn_is_answered_as_by_transformers(
    http: FlaskClient, make_worker: MakeWorker, vision: Vision
) -> None:
    make_worker()
    pictures = [picture(*each) for each in (FIRST, SECOND, THIRD)]

    first = ask(http, user("Are ", FIRST, " and ", SECOND, " alike?"))
    said = answer_part(first)["text"]
    second = ask(http, user(THIRD, "And this?"), previous_response_id=first["id"])

    image, end = vision.image, "<end>"
    turns = [f"user: Are {image} and {image} alike?{end}assistant: "]
    turns.append(f"{turns[0]}{said}{end}user: {image}And this?{end}assistant: ")
    for response, text, shown in ((first, turns[0], 2), (second, turns[1], 3)):
        check(response, vision, text, *pictures[:shown])


def check(response: dict[str, Any], vision: Vision, text: str, *pictures: Image) -> None:
    """Check that an answer is that of transformers to a prompt."""
    found = [entry["bytes"] for entry in answer_part(response)["logprobs"]]
    assert found == expected_bytes(vision.folder, vision.generate(text, *pictures))


def test_images_are_answered_beside_text_alone(
    http: FlaskClient, make_worker: MakeWorker, vision: Vision
) -> None:
    asked = [user(FIRST, "This?"), user("No picture."), user("Both", SECOND, THIRD), user("None.")]
    created = [create(http, input=[message], **ASKED) for message in asked]

    make_worker()
    ended = [wait_for_end(http, response["id"]) for response in created]

    image, end = vision.image, "<end>assistant: "
    check(ended[0], vision, f"user: {image}This?{end}", picture(*FIRST))
    check(ended[1], vision, f"user: No picture.{end}")
    shown = [picture(*SECOND), picture(*THIRD)]
    check(ended[2], vision, f"user: Both{image}{image}{end}", *shown)
    check(ended[3], vision, f"user: None.{end}")
