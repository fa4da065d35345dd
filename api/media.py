"""Images, files, audio and video: refused by name where the served model has no sense for them."""

from collections.abc import Iterator
from typing import Any

from models.errors import InvalidRequestError
from models.wire.parts import MEDIA_PARTS


def check_media(items: list[dict[str, Any]], model_id: str) -> None:
    """Raise a 400 that names the first part that the model does not take."""
    for path, part in _parts(items):
        if part["type"] in MEDIA_PARTS:
            kind = part["type"].removeprefix("input_")
            raise InvalidRequestError(
                f"{model_id} takes text only; {path} is of kind '{kind}'.",
                param=f"{path}.type",
                code="unsupported_parameter",
            )


def _parts(items: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Content parts of messages and of functions' outputs, with their paths."""
    for position, item in enumerate(items):
        for field in ("content", "output"):
            parts = item.get(field)
            if isinstance(parts, list):
                for number, part in enumerate(parts):
                    yield f"input[{position}].{field}[{number}]", part
