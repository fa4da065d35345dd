"""What the views of the API answer, as pages use it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from flask import Response
from pydantic import BaseModel, ValidationError

from api.access.sessions import PATH
from api.http.validation_errors import to_invalid_request

ADMIN_PATH = f"{PATH}/admin"
"""Path of the pages that are answered where the admin API is."""

Model = TypeVar("Model", bound=BaseModel)


def read(answer: Response) -> dict[str, Any]:
    """Return the resource in an answer of the API."""
    resource: dict[str, Any] = orjson.loads(answer.data)
    return resource


def parse(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """Return a body or query of the API with those fields that are given."""
    return validate(model, {k: value for k, value in fields.items() if value not in ("", None, [])})


def validate(model: type[Model], body: dict[str, Any]) -> Model:
    """Return a body of the API; raise a 400 that names the first field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise to_invalid_request(error, body) from None


def number(text: str) -> float | int | str:
    """Return the number that a text is; any other text as it is, for its field to refuse."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
