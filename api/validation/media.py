"""Validation of images, files, audio and video.

A part is refused if the served model does not accept its kind, or if it exceeds a limit.
"""

from collections.abc import Iterator
from typing import Any

from models.chat.prompt import ChatEncoder
from models.errors import InvalidRequestError
from models.media.images import MAX_IMAGES
from models.schemas.parts import MEDIA_PARTS


def check_media(items: list[dict[str, Any]], encoder: ChatEncoder) -> None:
    """Raise a 400 that names the first part that the model does not accept."""
    media = [
        (path, part) for path, part in _iterate_parts(items) if part.get("type") in MEDIA_PARTS
    ]
    for path, part in media:
        if part["type"] not in encoder.media:
            raise _make_unsupported_error(path, part["type"].removeprefix("input_"), encoder)
    images = [path for path, part in media if part["type"] == "input_image"]
    if len(images) > MAX_IMAGES:
        message = f"The input has {len(images)} images; at most {MAX_IMAGES} are taken."
        raise InvalidRequestError(message, param=images[MAX_IMAGES])
    for path, part in media:
        encoder.check_part(part, path)


def _make_unsupported_error(path: str, kind: str, encoder: ChatEncoder) -> InvalidRequestError:
    kinds = [name.removeprefix("input_") for name in sorted(encoder.media)]
    accepted = f"text and {', '.join(kinds)} parts" if kinds else "text only"
    return InvalidRequestError(
        f"{encoder.model_id} takes {accepted}; {path} is of kind '{kind}'.",
        param=f"{path}.type",
        code="unsupported_parameter",
    )


def _iterate_parts(items: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the content parts of messages and of function call outputs, with their paths."""
    for position, item in enumerate(items):
        for field in ("content", "output"):
            parts = item.get(field)
            if isinstance(parts, list):
                for number, part in enumerate(parts):
                    yield f"input[{position}].{field}[{number}]", part
