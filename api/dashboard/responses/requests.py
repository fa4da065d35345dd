"""Requests that stored responses were created with, so that they can be sent again."""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from api.http.validation_errors import to_invalid_request
from api.routes.item_pages import to_given_item
from models.responses.record import ResponseRecord, to_request
from models.schemas.request.create_response import CreateResponse


def request_of(record: ResponseRecord, items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the body that asks for the same in the background, with a short input as a text."""
    body = to_request(record, list(map(to_given_item, items)))
    return body | {"input": _simplify(body["input"]), "background": True}


def parse_request(body: dict[str, Any]) -> CreateResponse:
    """Validate a body; raise a 400 that names the first invalid field."""
    try:
        return CreateResponse.model_validate(body)
    except ValidationError as error:
        raise to_invalid_request(error, body) from None


def _simplify(items: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return a text for a single message of a user that is nothing else."""
    match items:
        case [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        ]:
            return str(text)
        case _:
            return items
