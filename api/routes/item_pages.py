"""Pages of items, as `/input_items` and the items of a conversation are listed."""

from collections.abc import Collection
from typing import Any

from api.routes.queries import ItemsQuery
from models.errors import InvalidRequestError
from models.schemas.pages import ItemPage

IMAGE_URL = "message.input_image.image_url"
"""The value of `include` that shows the addresses of images."""


def item_page(items: list[dict[str, Any]], query: ItemsQuery) -> ItemPage:
    """One page of `items`, which are in order of time, as the query asks for them."""
    if query.order == "desc":
        items = items[::-1]
    if query.after is not None:
        ids = [item["id"] for item in items]
        if query.after not in ids:
            raise InvalidRequestError(f"No item has the id '{query.after}'.", param="after")
        items = items[ids.index(query.after) + 1 :]
    page = [shown_item(item, query.include) for item in items[: query.limit]]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return ItemPage(data=page, first_id=first, last_id=last, has_more=len(items) > query.limit)


def shown_item(item: dict[str, Any], include: Collection[str]) -> dict[str, Any]:
    """An item with what a listed one has: a status, and its content as parts.

    Images may be megabytes, so their addresses are shown to those who ask for them.
    """
    content = item.get("content")
    if isinstance(content, str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    if content is None:
        return {"status": "completed", **item}
    if IMAGE_URL not in include:
        content = [_without_url(part) for part in content]
    return {"status": "completed", **item, "content": content}


def _without_url(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "image_url": None} if part["type"] == "input_image" else part
