"""Responses that pages are about, and their input."""

from collections.abc import Callable
from typing import Any

from api.routes.item_pages import LoadedItems, PageSource
from api.services import Services, project_id, services
from api.validation.idempotency import FindResponse
from models.errors import ResponseNotFoundError
from models.ids import parse_response_id
from models.responses.record import ResponseRecord
from models.store.item_pages import PageQuery

LoadItems = Callable[[Services, ResponseRecord], list[dict[str, Any]]]
"""Function that returns the input of a response that is not stored."""


def find(look_up: FindResponse, wire_id: str) -> ResponseRecord:
    """Return a response of the caller's project; raise a 404 if it has none with this id."""
    response_id = parse_response_id(wire_id)
    record = look_up(services(), project_id(), response_id) if response_id else None
    if record is None:
        raise ResponseNotFoundError(wire_id)
    return record


def input_items(
    record: ResponseRecord, load_items: LoadItems, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return the first input items of a response, and True if there are more."""
    store = services().store
    pages: PageSource = (
        store.items.input_pages if record.store else LoadedItems(load_items(services(), record))
    )
    page = pages.read(record.project_id, record.id, PageQuery(limit=limit))
    return (page.items, page.has_more) if page else ([], False)
