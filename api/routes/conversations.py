"""/v1/conversations: items that responses share, outside of any chain of turns."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.routes.item_pages import item_page, shown_item
from api.routes.queries import IncludeQuery, ItemsQuery
from api.services import Services, project_id, services
from api.validation.context import find_conversation
from api.validation.encrypted_content import check_encrypted_content
from api.validation.item_references import resolve_references
from models.errors import (
    ConversationLockedError,
    ConversationNotFoundError,
    InvalidRequestError,
    ItemNotFoundError,
)
from models.ids import conversation_wire_id, new_id, new_item_id
from models.schemas.conversations import (
    AnyItem,
    ConversationResource,
    CreateConversation,
    CreateItems,
    DeletedConversation,
    UpdateConversation,
    dumped,
)
from models.schemas.pages import ItemPage
from models.store.conversations import StoredConversation

blueprint = APIBlueprint(
    "conversations", __name__, url_prefix="/v1/conversations", abp_tags=[Tag(name="Conversations")]
)


class ConversationPath(BaseModel):
    """Which conversation."""

    conversation_id: str


class ItemPath(ConversationPath):
    """Which item of it."""

    item_id: str


@blueprint.post("", responses={200: ConversationResource})
def create(body: CreateConversation) -> Response:
    """Create a conversation, with its first items if any are given."""
    at = services()
    items = _new_items(at, dumped(body.items), taken=set())
    stored = StoredConversation(
        id=new_id(),
        project_id=project_id(),
        metadata=body.metadata,
        created_at=datetime.now(UTC).replace(microsecond=0),
    )
    at.store.conversations.create(stored, items)
    return _object(stored)


@blueprint.get("/<string:conversation_id>", responses={200: ConversationResource})
def retrieve(path: ConversationPath) -> Response:
    """Read a conversation."""
    return _object(find_conversation(services(), project_id(), path.conversation_id))


@blueprint.post("/<string:conversation_id>", responses={200: ConversationResource})
def update(path: ConversationPath, body: UpdateConversation) -> Response:
    """Replace the metadata."""
    at = services()
    found = find_conversation(at, project_id(), path.conversation_id)
    stored = at.store.conversations.update(found.project_id, found.id, body.metadata)
    if stored is None:
        raise ConversationNotFoundError(path.conversation_id)
    return _object(stored)


@blueprint.delete("/<string:conversation_id>", responses={200: DeletedConversation})
def delete(path: ConversationPath) -> Response:
    """Delete a conversation and its items; the responses that made them stay."""
    at = services()
    found = find_conversation(at, project_id(), path.conversation_id)
    if not at.store.conversations.delete(found.project_id, found.id):
        raise _locked_or_gone(at, found)
    return _json(DeletedConversation(id=path.conversation_id))


@blueprint.get("/<string:conversation_id>/items", responses={200: ItemPage})
def list_items(path: ConversationPath, query: ItemsQuery) -> Response:
    """List the items of a conversation, last first."""
    at = services()
    found = find_conversation(at, project_id(), path.conversation_id)
    return _json(item_page(at.store.conversations.items(found.project_id, found.id), query))


@blueprint.post("/<string:conversation_id>/items", responses={200: ItemPage})
def create_items(path: ConversationPath, body: CreateItems, query: IncludeQuery) -> Response:
    """Append items; those that were added are answered in order."""
    at = services()
    found = find_conversation(at, project_id(), path.conversation_id)
    taken = {item["id"] for item in at.store.conversations.items(found.project_id, found.id)}
    items = _new_items(at, dumped(body.items), taken)
    if not at.store.conversations.add_items(found.project_id, found.id, items):
        raise _locked_or_gone(at, found)
    shown = [shown_item(item, query.include) for item in items]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]}
    return _json(ItemPage(data=shown, has_more=False, **ends))


@blueprint.get("/<string:conversation_id>/items/<string:item_id>", responses={200: AnyItem})
def retrieve_item(path: ItemPath, query: IncludeQuery) -> Response:
    """Read one item."""
    at = services()
    found = find_conversation(at, project_id(), path.conversation_id)
    return _json(AnyItem(**shown_item(_find_item(at, found, path.item_id), query.include)))


@blueprint.delete(
    "/<string:conversation_id>/items/<string:item_id>", responses={200: ConversationResource}
)
def delete_item(path: ItemPath) -> Response:
    """Take one item out of a conversation."""
    at = services()
    found = find_conversation(at, project_id(), path.conversation_id)
    _find_item(at, found, path.item_id)
    if not at.store.conversations.delete_item(found.project_id, found.id, path.item_id):
        raise _locked_or_gone(at, found)
    return _object(found)


def _find_item(at: Services, found: StoredConversation, item_id: str) -> dict[str, Any]:
    for item in at.store.conversations.items(found.project_id, found.id):
        if item["id"] == item_id:
            return item
    raise ItemNotFoundError(f"Item with id '{item_id}' not found.", param="item_id")


def _locked_or_gone(
    at: Services, found: StoredConversation
) -> ConversationLockedError | ConversationNotFoundError:
    """Why a conversation that was there could not be changed."""
    is_there = at.store.conversations.get(found.project_id, found.id) is not None
    wire_id = conversation_wire_id(found.id)
    return ConversationLockedError() if is_there else ConversationNotFoundError(wire_id)


def _new_items(
    at: Services, items: list[dict[str, Any]], taken: set[str | UUID]
) -> list[dict[str, Any]]:
    """Items with ids of their own; raises a 400 for one that is taken, or cannot be opened."""
    items = resolve_references(at, project_id(), items, field="items")
    check_encrypted_content(at, project_id(), items, field="items")
    for position, item in enumerate(items):
        item["id"] = item.get("id") or new_item_id(item["type"])
        if item["id"] in taken:
            message = f"The conversation has an item with the id '{item['id']}' already."
            raise InvalidRequestError(message, param=f"items[{position}].id")
        taken.add(item["id"])
    return items


def _object(stored: StoredConversation) -> Response:
    return _json(
        ConversationResource(
            id=conversation_wire_id(stored.id),
            created_at=int(stored.created_at.timestamp()),
            metadata=stored.metadata,
        )
    )


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
