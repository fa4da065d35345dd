"""Content parts that the served model cannot read or that exceed a limit: refused by name."""

from typing import Any

import pytest

from api.validation.media import Fetch, check_media
from models.chat.scripted_encoder import ScriptedEncoder
from models.errors import InvalidRequestError
from models.media.images import MAX_IMAGES, read_image_part
from tests.pictures import picture_url

_TEXT = {"type": "input_text", "text": "a"}
_IMAGE = {"type": "input_image", "image_url": picture_url()}


class VisionEncoder(ScriptedEncoder):
    """Encoder that takes images and counts the parts it was asked to check."""

    media = frozenset({"input_image"})

    def __init__(self) -> None:
        super().__init__()
        self.num_checked = 0

    def check_part(self, part: dict[str, Any], param: str) -> None:
        self.num_checked += 1
        read_image_part(part, param)


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


def fetch_nothing(_: object) -> None:
    """Leave the images as they are: they are data URLs."""


def must_not_fetch(_: object) -> None:
    raise AssertionError("an image was to be fetched")


def refusal(
    encoder: ScriptedEncoder, *items: dict[str, Any], fetch: Fetch = must_not_fetch
) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        check_media(list(items), encoder, encoder.media, fetch)
    return raised.value


def test_text_passes() -> None:
    check_media(
        [
            {"type": "message", "role": "user", "content": "a"},
            message(_TEXT),
            {"type": "reasoning", "content": None},
            {"type": "function_call_output", "output": "a"},
        ],
        ScriptedEncoder(),
        frozenset(),
        fetch_nothing,
    )


@pytest.mark.parametrize("kind", ["image", "file", "video", "audio"])
def test_a_part_is_named_with_its_place_and_the_model(kind: str) -> None:
    error = refusal(ScriptedEncoder(), message(_TEXT, {"type": f"input_{kind}"}))

    assert error.message == (f"scripted takes text only; input[0].content[1] is of kind '{kind}'.")
    assert error.param == "input[0].content[1].type"
    assert error.code == "unsupported_parameter"


def test_what_a_function_returned_is_looked_at_too() -> None:
    item = {"type": "function_call_output", "output": [_IMAGE]}

    assert refusal(ScriptedEncoder(), item).param == "input[0].output[0].type"


def test_a_model_that_sees_takes_images_and_nothing_else() -> None:
    encoder = VisionEncoder()
    check_media([message(_TEXT, _IMAGE)], encoder, encoder.media, fetch_nothing)

    error = refusal(VisionEncoder(), message(_IMAGE, {"type": "input_video"}))
    assert "takes text and image parts" in error.message
    assert error.param == "input[0].content[1].type"


def test_an_image_that_cannot_be_read_is_named() -> None:
    broken = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}

    error = refusal(VisionEncoder(), message(_IMAGE), message(_TEXT, broken), fetch=fetch_nothing)

    assert error.param == "input[1].content[1].image_url"


def test_too_many_images_are_refused_before_any_is_read() -> None:
    encoder = VisionEncoder()

    error = refusal(encoder, *[message(_IMAGE)] * (MAX_IMAGES + 1))

    assert str(MAX_IMAGES) in error.message
    assert error.param == f"input[{MAX_IMAGES}].content[0]"
    assert encoder.num_checked == 0
