"""Images in several turns of a conversation, answered through the API as by transformers itself."""

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import create, wait_for_end
from tests.integration.conftest import MakeWorker
from tests.integration.picture_questions import (
    ASKED,
    FIRST,
    SECOND,
    THIRD,
    answer_part,
    ask,
    check,
    user,
)
from tests.pictures import picture
from tests.unit.worker.engine.vision_oracle import Vision, tiny_vision
from tests.vision_families.table import FAMILIES

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
