"""/v1/conversations: items that responses share, independently of `previous_response_id`."""

from datetime import UTC, datetime
from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.access.current import current_caller
from api.access.rights import check_references
from api.limits.admission import admit_items
from api.routes.item_pages import read_page, to_listed_item
from api.routes.queries import IncludeQuery, ItemsQuery
from api.services import Services, project_id, services
from api.validation.context import find_conversation
from api.validation.encrypted_content import check_encrypted_content
from api.validation.given_names import given_names
from api.validation.item_references import resolve_references
from models.errors import (
    AppError,
    ConversationFullError,
    ConversationLockedError,
    ConversationNotFoundError,
    InvalidRequestError,
    ItemNotFoundError,
)
from models.ids import conversation_wire_id, new_id, new_item_id, parse_item_id
from models.outages import DuplicateKeyError
from models.schemas.conversations import (
    AnyItem,
    ConversationResource,
    CreateConversation,
    CreateItems,
    DeletedConversation,
    UpdateConversation,
)
from models.schemas.items import InputItem
from models.schemas.pages import ItemPage
from models.schemas.request.stored_items import is_reference, stored_items
from models.store.conversations import ConversationRecord

blueprint = APIBlueprint(
    "conversations", __name__, url_prefix="/v1/conversations", abp_tags=[Tag(name="Conversations")]
)


class ConversationPath(BaseModel):
    """Path parameters of a conversation."""

    conversation_id: str


class ItemPath(ConversationPath):
    """Path parameters of an item of a conversation."""

    item_id: str


@blueprint.post("", responses={200: ConversationResource})
def create(body: CreateConversation) -> Response:
    """Create a conversation, with its first items if any are given."""
    app_services = services()
    items, made_ids = _prepare_items(app_services, body.items)
    admit_items(app_services, current_caller().project, items)
    conversation = ConversationRecord(
        id=new_id(),
        project_id=project_id(),
        metadata=body.metadata,
        created_at=datetime.now(UTC).replace(microsecond=0),
    )
    app_services.store.conversations.create(conversation, items, made_ids)
    return _respond(conversation)


@blueprint.get("/<string:conversation_id>", responses={200: ConversationResource})
def retrieve(path: ConversationPath) -> Response:
    """Read a conversation."""
    return _respond(find_conversation(services(), project_id(), path.conversation_id))


@blueprint.post("/<string:conversation_id>", responses={200: ConversationResource})
def update(path: ConversationPath, body: UpdateConversation) -> Response:
    """Replace the metadata of a conversation."""
    app_services = services()
    conversation = find_conversation(app_services, project_id(), path.conversation_id)
    updated = app_services.store.conversations.update(
        conversation.project_id, conversation.id, body.metadata
    )
    if updated is None:
        raise ConversationNotFoundError(path.conversation_id)
    return _respond(updated)


@blueprint.delete("/<string:conversation_id>", responses={200: DeletedConversation})
def delete(path: ConversationPath) -> Response:
    """Delete a conversation and its items; the responses that created them remain."""
    app_services = services()
    conversation = find_conversation(app_services, project_id(), path.conversation_id)
    if not app_services.store.conversations.delete(conversation.project_id, conversation.id):
        raise _make_conflict_error(app_services, conversation)
    return _json(DeletedConversation(id=path.conversation_id))


@blueprint.get("/<string:conversation_id>/items", responses={200: ItemPage})
def list_items(path: ConversationPath, query: ItemsQuery) -> Response:
    """List the items of a conversation, last first."""
    app_services = services()
    conversation = find_conversation(app_services, project_id(), path.conversation_id)
    pages = app_services.store.conversations.pages
    return _json(read_page(pages, conversation.project_id, conversation.id, query))


@blueprint.post("/<string:conversation_id>/items", responses={200: ItemPage})
def create_items(path: ConversationPath, body: CreateItems, query: IncludeQuery) -> Response:
    """Append items to a conversation and return them in order."""
    app_services = services()
    conversation = find_conversation(app_services, project_id(), path.conversation_id)
    items, made_ids = _prepare_items(app_services, body.items)
    admit_items(app_services, current_caller().project, items)
    if not _add_items(app_services, conversation, items, made_ids):
        raise _make_conflict_error(app_services, conversation)
    listed = [to_listed_item(item, query.include) for item in items]
    ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
    return _json(ItemPage(data=listed, has_more=False, **ends))


@blueprint.get("/<string:conversation_id>/items/<string:item_id>", responses={200: AnyItem})
def retrieve_item(path: ItemPath, query: IncludeQuery) -> Response:
    """Read one item."""
    app_services = services()
    conversation = find_conversation(app_services, project_id(), path.conversation_id)
    item = _find_item(app_services, conversation, path.item_id)
    return _json(AnyItem(**to_listed_item(item, query.include)))


@blueprint.delete(
    "/<string:conversation_id>/items/<string:item_id>", responses={200: ConversationResource}
)
def delete_item(path: ItemPath) -> Response:
    """Delete one item of a conversation."""
    app_services = services()
    conversation = find_conversation(app_services, project_id(), path.conversation_id)
    _find_item(app_services, conversation, path.item_id)
    if not app_services.store.conversations.delete_item(
        conversation.project_id, conversation.id, path.item_id
    ):
        raise _make_conflict_error(app_services, conversation)
    return _respond(conversation)


def _find_item(
    services: Services, conversation: ConversationRecord, item_id: str
) -> dict[str, Any]:
    item = services.store.conversations.pages.find(
        conversation.project_id, conversation.id, item_id
    )
    if item is None:
        raise ItemNotFoundError(f"Item with id '{item_id}' not found.", param="item_id")
    return item


def _add_items(
    services: Services,
    conversation: ConversationRecord,
    items: list[dict[str, Any]],
    made_ids: set[str],
) -> bool:
    """Append items; return False if the conversation cannot be changed.

    Raise a 400 for an id that is used, also if another request uses it at the same moment.
    """
    conversations = services.store.conversations
    _refuse_used_ids(services, conversation, items)
    try:
        return conversations.add_items(conversation.project_id, conversation.id, items, made_ids)
    except DuplicateKeyError:
        _refuse_used_ids(services, conversation, items)
        # The item that had the id has been deleted again.
        return conversations.add_items(conversation.project_id, conversation.id, items, made_ids)


def _refuse_used_ids(
    services: Services, conversation: ConversationRecord, items: list[dict[str, Any]]
) -> None:
    """Raise a 400 for an item whose id an item of the conversation has."""
    ids = [item["id"] for item in items]
    used = services.store.conversations.used_ids(conversation.project_id, conversation.id, ids)
    for position, item_id in enumerate(ids):
        if item_id in used:
            message = f"The conversation has an item with the id '{item_id}' already."
            raise InvalidRequestError(message, param=f"items[{position}].id")


def _make_conflict_error(services: Services, conversation: ConversationRecord) -> AppError:
    """Return the error for a conversation that could not be changed: deleted, locked, or full."""
    current = services.store.conversations.get(conversation.project_id, conversation.id)
    if current is None:
        return ConversationNotFoundError(conversation_wire_id(conversation.id))
    return ConversationFullError() if current.running_id is None else ConversationLockedError()


def _prepare_items(
    services: Services, given: list[InputItem]
) -> tuple[list[dict[str, Any]], set[str]]:
    """Return the items to store, each with an id, and the ids that were made here.

    Raise a 400 for an id that two items have, or undecryptable content.
    """
    with given_names(given, field="items"):
        return _with_ids(services, stored_items(given))


def _with_ids(
    services: Services, items: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], set[str]]:
    used_ids: set[str] = set()
    given_ids = {item.get("id") for item in items if not is_reference(item)}
    check_references(current_caller(), items, field="items")
    items = resolve_references(services, project_id(), items, field="items")
    check_encrypted_content(services, project_id(), items, field="items")
    is_permitted = current_caller().project.permissions.image_urls
    services.image_urls.fetch(items, owner=project_id(), is_permitted=is_permitted, field="items")
    for position, item in enumerate(items):
        item["id"] = item.get("id") or new_item_id(item["type"])
        if item["id"] in used_ids:
            message = f"The conversation has an item with the id '{item['id']}' already."
            raise InvalidRequestError(message, param=f"items[{position}].id")
        used_ids.add(item["id"])
    made_ids = {item["id"] for item in items if parse_item_id(item["id"]) is not None} - given_ids
    return items, made_ids


def _respond(conversation: ConversationRecord) -> Response:
    return _json(
        ConversationResource(
            id=conversation_wire_id(conversation.id),
            created_at=int(conversation.created_at.timestamp()),
            metadata=conversation.metadata,
        )
    )


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
