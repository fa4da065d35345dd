"""Replacement of each `item_reference` by the stored item that it names."""

from typing import Any

from api.services import Services
from models.errors import InvalidRequestError, ItemNotFoundError
from models.schemas.request.stored_items import is_reference
from models.store.items import AmbiguousItemError


def resolve_references(
    services: Services, project_id: str, items: list[dict[str, Any]], *, field: str = "input"
) -> list[dict[str, Any]]:
    """Return `items` with each reference replaced by a copy; raise a 404 for an unknown id.

    Raise a 400 for an id that is that of several items.
    """
    ids = [item["id"] for item in items if is_reference(item)]
    if not ids:
        return items
    try:
        items_by_id = services.store.items.by_id(project_id, ids)
    except AmbiguousItemError as error:
        ambiguous = (is_reference(item) and item["id"] == error.item_id for item in items)
        raise InvalidRequestError(
            f"Several stored items were given the id '{error.item_id}', and they differ: "
            "send the item itself.",
            param=f"{field}[{list(ambiguous).index(True)}].id",
        ) from None
    for position, item in enumerate(items):
        if is_reference(item):
            if item["id"] not in items_by_id:
                raise ItemNotFoundError(
                    f"Item with id '{item['id']}' not found. Items are not persisted when store "
                    "is set to false.",
                    param=f"{field}[{position}].id",
                )
            items[position] = dict(items_by_id[item["id"]])
    return items
