"""Image input, with a vision model of random weights and the default tokenizer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from models.settings import DEFAULT_MODEL
from tests.acceptance.server import make_in
from tests.conformance.suite.conftest import Api, message
from tests.conformance.suite.judge import text_of
from tests.pictures import picture_url
from tests.tiny_vision import write_vision_model


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path) -> Iterator[Api]:
    """A server whose model takes images."""
    folder = tmp_path_factory.mktemp("vision")
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(weights_dir / DEFAULT_MODEL)
    write_vision_model(folder / "tiny-vision", tokenizer, "idefics3", eos_scale=5)
    settings = {"model": str(folder / "tiny-vision"), "kv_cache_gib": "0.05"}
    server = make_in(folder / "data", None, settings)
    server.start()
    api = Api(f"{server.url}/v1")
    yield api
    api.close()
    server.stop()


def test_an_image_is_answered(seeing: Api) -> None:
    question = {"type": "input_text", "text": "What do you see in this image?"}
    image = {"type": "input_image", "image_url": picture_url(0, 32, 32)}

    # Drawn, not greedy: the latter may never come to an end in a random network.
    response = seeing.create([message("user", [question, image])], temperature=1, seed=1)

    assert response["status"] == "completed"
    assert text_of(response)
    without = seeing.create([message("user", [question])], max_output_tokens=1)
    assert response["usage"]["input_tokens"] > without["usage"]["input_tokens"] + 4


def test_a_model_for_text_refuses_an_image_by_name(api: Api) -> None:
    image = {"type": "input_image", "image_url": picture_url(0, 32, 32)}

    answer = api.post(input=[message("user", [image])])

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "input[0].content[0].type"
    assert DEFAULT_MODEL in error["message"]
