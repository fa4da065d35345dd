"""Requests that stored responses were created with, so that they can be sent again."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from api.http.validation_errors import to_invalid_request
from models.ids import conversation_wire_id, parse_item_id, response_wire_id
from models.media.images import without_fetched
from models.responses.record import ResponseRecord
from models.schemas.request.create_response import CreateResponse

_LISTS = ("content", "output")


def request_of(record: ResponseRecord, items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the body of a request that asks for the same as that of a response with these items.

    Headers and access tokens of MCP servers are not in it: they are forgotten at the end.
    """
    body: dict[str, Any] = {
        "model": record.model,
        "input": _simplify([_as_given(item) for item in items]),
        **record.parameters,
    }
    body.pop("stream_options", None)  # those of its stream, which this one may not have
    if record.previous_response_id is not None:
        body["previous_response_id"] = response_wire_id(record.previous_response_id)
    if record.conversation_id is not None:
        body["conversation"] = conversation_wire_id(record.conversation_id)
    if record.metadata:
        body["metadata"] = record.metadata
    if not record.store:
        body["store"] = False
    return body | {"background": True}


def parse_request(body: dict[str, Any]) -> CreateResponse:
    """Validate a body; raise a 400 that names the first invalid field."""
    try:
        return CreateResponse.model_validate(body)
    except ValidationError as error:
        raise to_invalid_request(error, body) from None


def _as_given(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as a client may send it: ids that were made here belong to the old one."""
    given = {name: value for name, value in item.items() if not _is_made(name, value)}
    for name in _LISTS:
        if isinstance(given.get(name), list):
            given[name] = [
                without_fetched(part) if isinstance(part, dict) else part for part in given[name]
            ]
    return given


def _is_made(name: str, value: object) -> bool:
    return name == "id" and isinstance(value, str) and parse_item_id(value) is not None


def _simplify(items: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return a text for a single message of a user that is nothing else."""
    match items:
        case [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        ]:
            return str(text)
        case _:
            return items
