"""Prompts with images, as a vision model's template and processor make them."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.chat.prompt import Prompt
from models.chat.template_encoder import TemplateEncoder
from models.errors import InvalidRequestError
from models.media.images import read_image_part
from models.profile.weights import Weights
from tests.pictures import picture_url
from tests.tiny_vision import write_vision_model
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

NUM_IMAGE_TOKENS = 16


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TemplateEncoder:
    folder = write_vision_model(tmp_path_factory.mktemp("vision"), tiny_tokenizer(), "llava")
    return TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))


def text(content: str) -> dict[str, Any]:
    return {"type": "input_text", "text": content}


def image(seed: int = 0) -> dict[str, Any]:
    return {"type": "input_image", "image_url": picture_url(seed)}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


def test_images_stand_among_the_texts_as_they_were_given(encoder: TemplateEncoder) -> None:
    items = [user(text("a"), image(1), text("b")), user(image(2)), user(text("c"))]

    prompt = encoder.encode_media(Prompt(instructions="Be brief.", items=items))

    marks = "<image>" * NUM_IMAGE_TOKENS
    assert encoder.tokenizer.decode(prompt.token_ids) == (
        f"system: Be brief.<end>user: a{marks}b<end>user: {marks}<end>user: c<end>assistant: "
    )
    image_token = encoder.tokenizer.convert_tokens_to_ids("<image>")
    assert [len(placed.positions) for placed in prompt.images] == [NUM_IMAGE_TOKENS] * 2
    for placed in prompt.images:
        assert {prompt.token_ids[at] for at in placed.positions} == {image_token}
    assert prompt.images[0].image.digest != prompt.images[1].image.digest


def test_a_prompt_is_counted_with_its_images(encoder: TemplateEncoder) -> None:
    with_image = encoder.encode(Prompt(instructions=None, items=[user(text("a"), image())]))
    without = encoder.encode(Prompt(instructions=None, items=[user(text("a"))]))

    assert len(with_image) == len(without) + NUM_IMAGE_TOKENS


def test_a_text_that_spells_the_token_of_an_image_is_text(encoder: TemplateEncoder) -> None:
    asked = user(text("<ima"), text("ge>, <image> and"), image())

    prompt = encoder.encode_media(Prompt(instructions=None, items=[asked]))

    image_token = encoder.tokenizer.convert_tokens_to_ids("<image>")
    assert prompt.token_ids.count(image_token) == NUM_IMAGE_TOKENS
    marks = "<image>" * NUM_IMAGE_TOKENS
    assert encoder.tokenizer.decode(prompt.token_ids) == (
        f"user: <image>, <image> and{marks}<end>assistant: "
    )


def test_a_template_that_hides_an_image_is_told(encoder: TemplateEncoder) -> None:
    reader = encoder._images
    assert reader is not None
    prepared = reader.prepare(read_image_part(image(), "input"), "input")

    with pytest.raises(InvalidRequestError, match="shows 0 of 1 images"):
        reader.expand("a", [prepared], encoder.mark)


def test_limits_come_from_the_language_model(encoder: TemplateEncoder) -> None:
    assert encoder.context_length == 512
    assert encoder.vocab_size == len(encoder.tokenizer)
    assert encoder.media == {"input_image"}


def test_an_image_that_is_checked_is_not_prepared_again(
    encoder: TemplateEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.check_part(image(9), "input[0].content[0]")
    monkeypatch.setattr(
        "models.media.processor.decode_image", lambda *_: pytest.fail("decoded again")
    )

    encoder.encode(Prompt(instructions=None, items=[user(image(9))]))


@pytest.mark.parametrize("file", ["chat_template.json", "processor_config.json"])
def test_the_template_may_be_in_a_file_of_the_processor(tmp_path: Path, file: str) -> None:
    folder = write_vision_model(tmp_path, tiny_tokenizer(), "llava")
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    kept = folder / file
    content = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(json.dumps(content | {"chat_template": template}))

    encoder = TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))

    [placed] = encoder.encode_media(Prompt(instructions=None, items=[user(image())])).images
    assert len(placed.positions) == NUM_IMAGE_TOKENS


def test_there_is_a_prompt_to_try_the_network_with(encoder: TemplateEncoder) -> None:
    sample = encoder.image_sample()

    assert sample is not None
    assert len(sample.images) == 1
