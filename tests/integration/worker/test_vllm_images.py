"""Images with a worker of vLLM, answered through the API as by transformers itself.

`make test-vllm` runs it where vLLM is, which needs an environment of its own.
"""

from importlib.util import find_spec
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from models.settings import Settings
from models.vllm_args import VllmArgs
from tests.integration.api.requests import (
    create,
    create_and_wait,
    error_of,
    parsed,
    text_of,
    wait_for_end,
    wait_for_text,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.in_process import InProcessWorker
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
from tests.unit.worker.engine.vision_oracle import Vision, leave_classes_alone, tiny_vision
from worker.process.timings import WorkerTimings

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed"),
]


VLLM_ARGS = {"smolvlm": VllmArgs(), "llava": VllmArgs(model_impl="transformers")}
"""Arguments of vLLM by family: one that vLLM has a class for, and one by that of transformers."""

each_family = pytest.mark.parametrize("vision", list(VLLM_ARGS), indirect=True)


@pytest.fixture(scope="module")
def vision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vision:
    """Save a network with the smallest heads that vLLM computes on CPUs."""
    size = {"hidden_size": 128, "head_dim": 32}
    family = getattr(request, "param", "smolvlm")
    return tiny_vision(family, tmp_path_factory.mktemp(family), **size)


@pytest.fixture
def settings(settings: Settings, vision: Vision) -> Settings:
    update = {
        "engine": "vllm",
        "model": str(vision.folder),
        "dtype": "float32",
        "kv_cache_gib": 0.01,
        "threads": 1,
        "vllm_args": VLLM_ARGS[vision.family],
    }
    return settings.model_copy(update=update)


@pytest.fixture
def make_worker(
    make_worker: MakeWorker, app: OpenAPI, monkeypatch: pytest.MonkeyPatch
) -> MakeWorker:
    """Return the function that starts workers, with the app that vLLM may look for.

    When vLLM loads a model, it looks at all objects of all modules, also at Flask's proxies.
    """
    leave_classes_alone(monkeypatch)

    def make(*, timings: WorkerTimings | None = None, **changes: Any) -> InProcessWorker:
        with app.test_request_context():
            return make_worker(timings=timings, **changes)

    return make


@each_family
def test_turns_with_images_are_answered_as_by_transformers_beside_text_alone(
    http: FlaskClient, make_worker: MakeWorker, vision: Vision, sql: RunSql
) -> None:
    make_worker()
    pictures = [picture(*each) for each in (FIRST, SECOND, THIRD)]

    text = create(http, input=[user("No picture.")], **ASKED)
    first = ask(http, user("Are ", FIRST, " and ", SECOND, " alike?"))
    said = answer_part(first)["text"]
    second = ask(http, user(THIRD, "And this?"), previous_response_id=first["id"])

    image, end = vision.image, "<end>"
    turns = [f"user: Are {image} and {image} alike?{end}assistant: "]
    turns.append(f"{turns[0]}{said}{end}user: {image}And this?{end}assistant: ")
    check(first, vision, turns[0], *pictures[:2])
    check(second, vision, turns[1], *pictures)
    check(wait_for_end(http, text["id"]), vision, f"user: No picture.{end}assistant: ")
    assert second["usage"]["input_tokens_details"]["cached_tokens"] >= 32
    assert sql("SELECT capabilities->>'reads_images' FROM workers") == [("true",)]


def test_what_is_handed_back_goes_on_in_another_worker_with_the_same_text(
    http: FlaskClient, make_worker: MakeWorker
) -> None:
    asked = {"input": [user(FIRST, "This?")], "seed": 3, "temperature": 0.8}
    endless = {**asked, "max_output_tokens": 250, "ignore_eos": True}
    first = make_worker(drain_seconds=0)
    undisturbed = create_and_wait(http, **endless)
    running = create(http, **endless)
    wait_for_text(http, running["id"])

    first.drain()
    make_worker()

    ended = wait_for_end(http, running["id"])
    assert text_of(ended) == text_of(undisturbed)
    assert ended["usage"]["output_tokens"] == 250


@each_family
def test_workers_that_take_no_images_say_so_and_the_api_refuses_them(
    http: FlaskClient, make_worker: MakeWorker, vision: Vision, sql: RunSql
) -> None:
    """Let the API alone believe that images are taken, as with other settings."""
    make_worker(vllm_args=VllmArgs(**VLLM_ARGS[vision.family].given, language_model_only=True))

    refused = http.post("/v1/responses", json={"input": [user(FIRST, "This?")]})

    assert refused.status_code == 400
    assert error_of(refused)["param"] == "input[0].content[0].type"
    assert parsed(http.get("/v1/models"))["data"][0]["capabilities"]["images"] is False
    assert sql("SELECT capabilities->>'reads_images' FROM workers") == [("false",)]
