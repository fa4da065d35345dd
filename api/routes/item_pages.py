"""Pagination of the input items of a response and of the items of a conversation."""

from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

from api.routes.queries import ItemsQuery
from models.errors import InvalidRequestError
from models.media.images import without_fetched
from models.schemas.pages import ItemPage
from models.store.item_pages import PageQuery, StoredPage

IMAGE_URL = "message.input_image.image_url"
"""Value of `include` that asks for the URLs of images."""


class PageSource(Protocol):
    """Source of pages of items."""

    def read(self, project_id: str, owner_id: UUID, query: PageQuery) -> StoredPage | None:
        """Return a page; None if `after` is unknown."""


class LoadedItems:
    """Source of pages of items that are in memory, all of one owner."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self._items = items

    def read(self, project_id: str, owner_id: UUID, query: PageQuery) -> StoredPage | None:
        """Return a page; None if `after` is unknown."""
        items = self._items[::-1] if query.is_descending else self._items
        start = 0
        if query.after is not None:
            ids = [item["id"] for item in items]
            if query.after not in ids:
                return None
            start = ids.index(query.after) + 1
        end = start + query.limit
        return StoredPage(items=items[start:end], has_more=end < len(items))


def read_page(pages: PageSource, project_id: str, owner_id: UUID, query: ItemsQuery) -> ItemPage:
    """Return the page of items that the query asks for.

    Raise a 400 if no item has the id `after`.
    """
    found = pages.read(
        project_id,
        owner_id,
        PageQuery(limit=query.limit, after=query.after, is_descending=query.order == "desc"),
    )
    if found is None:
        raise InvalidRequestError(f"No item has the id '{query.after}'.", param="after")
    page = [to_listed_item(item, query.include) for item in found.items]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return ItemPage(data=page, first_id=first, last_id=last, has_more=found.has_more)


def to_listed_item(item: dict[str, Any], include: Collection[str]) -> dict[str, Any]:
    """Return an item as it is listed: with a status, and with its content as parts.

    The URL of an image may hold megabytes of data, so it is null unless `include` asks for it.
    """
    listed = {"status": "completed", **item}
    content, output = item.get("content"), item.get("output")
    if isinstance(content, str):
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    if content is not None:
        listed["content"] = [_to_listed_part(part, IMAGE_URL in include) for part in content]
    if isinstance(output, list):
        listed["output"] = [_to_listed_part(part, has_url=True) for part in output]
    return listed


def to_given_item(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as a request may have it: without what was fetched for its URLs."""
    lists = {name: item[name] for name in ("content", "output") if isinstance(item.get(name), list)}
    return {**item, **{name: list(map(without_fetched, parts)) for name, parts in lists.items()}}


def _to_listed_part(part: dict[str, Any], has_url: bool) -> dict[str, Any]:
    """Return a part with the fields that clients need to recognise an image."""
    if part.get("type") != "input_image":
        return part
    shown = without_fetched(part)
    return {"detail": "auto", **shown, **({} if has_url else {"image_url": None})}
