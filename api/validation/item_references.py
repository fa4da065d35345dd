"""`item_reference`: an item that is stored, put in its place by its id."""

from typing import Any

from api.services import Services
from models.errors import ItemNotFoundError


def resolve_references(
    at: Services, project_id: str, items: list[dict[str, Any]], *, field: str = "input"
) -> list[dict[str, Any]]:
    """`items` with each reference replaced by a copy; raises a 404 for one that is not there."""
    wanted = [item["id"] for item in items if _is_reference(item)]
    if not wanted:
        return items
    found = at.store.items.by_id(project_id, wanted)
    for position, item in enumerate(items):
        if _is_reference(item):
            if item["id"] not in found:
                raise ItemNotFoundError(
                    f"Item with id '{item['id']}' not found. Items are not persisted when store "
                    "is set to false.",
                    param=f"{field}[{position}].id",
                )
            items[position] = dict(found[item["id"]])
    return items


def _is_reference(item: dict[str, Any]) -> bool:
    return bool(item.get("type", "item_reference") == "item_reference")
