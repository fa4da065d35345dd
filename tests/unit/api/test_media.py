"""Parts that a text model has no sense for are refused by name."""

from typing import Any

import pytest

from api.media import check_media
from models.errors import InvalidRequestError

_TEXT = {"type": "input_text", "text": "a"}
_IMAGE = {"type": "input_image", "image_url": "data:,"}


def test_text_passes() -> None:
    check_media(
        [
            {"type": "message", "role": "user", "content": "a"},
            {"type": "message", "role": "user", "content": [_TEXT]},
            {"type": "reasoning", "content": None},
            {"type": "function_call_output", "output": "a"},
        ],
        "tiny",
    )


@pytest.mark.parametrize("kind", ["image", "file", "video", "audio"])
def test_a_part_is_named_with_its_place_and_the_model(kind: str) -> None:
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "user", "content": [_TEXT, {"type": f"input_{kind}"}]}
    ]

    with pytest.raises(InvalidRequestError, match=f"tiny takes text only; .* '{kind}'") as raised:
        check_media(items, "tiny")

    assert raised.value.param == "input[0].content[1].type"
    assert raised.value.code == "unsupported_parameter"


def test_what_a_function_returned_is_looked_at_too() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        check_media([{"type": "function_call_output", "output": [_IMAGE]}], "tiny")

    assert raised.value.param == "input[0].output[0].type"
