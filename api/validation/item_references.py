"""Replacement of each `item_reference` by the stored item that it names."""

from typing import Any

from api.services import Services
from models.errors import ItemNotFoundError


def resolve_references(
    services: Services, project_id: str, items: list[dict[str, Any]], *, field: str = "input"
) -> list[dict[str, Any]]:
    """Return `items` with each reference replaced by a copy; raise a 404 for an unknown id."""
    ids = [item["id"] for item in items if _is_reference(item)]
    if not ids:
        return items
    items_by_id = services.store.items.by_id(project_id, ids)
    for position, item in enumerate(items):
        if _is_reference(item):
            if item["id"] not in items_by_id:
                raise ItemNotFoundError(
                    f"Item with id '{item['id']}' not found. Items are not persisted when store "
                    "is set to false.",
                    param=f"{field}[{position}].id",
                )
            items[position] = dict(items_by_id[item["id"]])
    return items


def _is_reference(item: dict[str, Any]) -> bool:
    return bool(item.get("type", "item_reference") == "item_reference")
