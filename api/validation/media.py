"""Validation of images, files, audio and video.

A part is refused if the served model does not accept its kind, or if it exceeds a limit.
"""

from collections.abc import Callable
from typing import Any

from api.validation.parts import iterate_parts
from models.chat.prompt import ChatEncoder
from models.errors import InvalidRequestError
from models.media.images import MAX_IMAGES
from models.schemas.parts import MEDIA_PARTS

Fetch = Callable[[list[dict[str, Any]]], object]
"""Function that fetches the images of items that are at addresses, or refuses them."""


def check_media(
    items: list[dict[str, Any]], encoder: ChatEncoder, accepted: frozenset[str], fetch: Fetch
) -> None:
    """Raise a 400 that names the first part that is not of a type that is `accepted`.

    Images are fetched once all else about them has been checked.
    """
    media = [(path, part) for path, part in iterate_parts(items) if part.get("type") in MEDIA_PARTS]
    for path, part in media:
        if part["type"] not in accepted:
            kind = part["type"].removeprefix("input_")
            raise _make_unsupported_error(path, kind, encoder.model_id, accepted)
    images = [path for path, part in media if part["type"] == "input_image"]
    if len(images) > MAX_IMAGES:
        message = f"The input has {len(images)} images; at most {MAX_IMAGES} are taken."
        raise InvalidRequestError(message, param=images[MAX_IMAGES])
    fetch(items)
    for path, part in media:
        encoder.check_part(part, path)


def _make_unsupported_error(
    path: str, kind: str, model_id: str, accepted: frozenset[str]
) -> InvalidRequestError:
    kinds = [name.removeprefix("input_") for name in sorted(accepted)]
    takes = f"text and {', '.join(kinds)} parts" if kinds else "text only"
    return InvalidRequestError(
        f"{model_id} takes {takes}; {path} is of kind '{kind}'.",
        param=f"{path}.type",
        code="unsupported_parameter",
    )
