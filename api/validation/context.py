"""Context that a request continues: previous turns or a conversation."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from api.services import Services
from models.errors import (
    ConversationNotFoundError,
    InvalidRequestError,
    PreviousResponseNotFoundError,
)
from models.ids import parse_conversation_id, parse_response_id
from models.responses.status import CONTINUABLE
from models.schemas.request.create_response import CreateResponse
from models.store.conversations import ConversationRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Items that precede the input of a request."""

    previous_id: UUID | None = None
    conversation_id: UUID | None = None
    items: list[dict[str, Any]] = field(default_factory=list)
    is_inline: bool = False
    """True if the items are not in the store and have to be passed on with the input."""


def load_context(services: Services, project_id: str, body: CreateResponse) -> Context:
    """Load the context that a request names; raise an `AppError` if it cannot be continued."""
    conversation = body.conversation
    if conversation is None:
        if body.previous_response_id is None:
            return Context()
        return _load_previous_turns(services, project_id, body.previous_response_id)
    if body.previous_response_id is not None:
        message = "conversation and previous_response_id exclude each other."
        raise InvalidRequestError(message, param="conversation")
    if not body.store:
        raise InvalidRequestError("conversation needs store to be true.", param="store")
    wire_id = conversation if isinstance(conversation, str) else conversation.id
    return _load_conversation(services, project_id, wire_id)


def _load_previous_turns(services: Services, project_id: str, wire_id: str) -> Context:
    param = "previous_response_id"
    previous_id = parse_response_id(wire_id)
    previous = services.store.responses.get(project_id, previous_id) if previous_id else None
    if previous is None:
        message = f"Previous response with id '{wire_id}' not found."
        raise PreviousResponseNotFoundError(message, param=param)
    if previous.status not in CONTINUABLE:
        message = f"Response '{wire_id}' is {previous.status}; only a finished one can go on."
        raise InvalidRequestError(message, param=param)
    if previous.conversation_id is not None:
        message = f"Response '{wire_id}' is part of a conversation; go on with `conversation`."
        raise InvalidRequestError(message, param=param)
    items = services.store.items.of_chain(project_id, previous.id)
    return Context(previous_id=previous.id, items=items)


def find_conversation(services: Services, project_id: str, wire_id: str) -> ConversationRecord:
    """Return a conversation of the project; raise `ConversationNotFoundError` if there is none."""
    conversation_id = parse_conversation_id(wire_id)
    conversation = (
        services.store.conversations.get(project_id, conversation_id) if conversation_id else None
    )
    if conversation is None:
        raise ConversationNotFoundError(wire_id)
    return conversation


def _load_conversation(services: Services, project_id: str, wire_id: str) -> Context:
    conversation = find_conversation(services, project_id, wire_id)
    items = services.store.conversations.items(project_id, conversation.id)
    return Context(conversation_id=conversation.id, items=items)
