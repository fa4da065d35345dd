"""What a request goes on from: earlier turns, or a conversation."""

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
from models.store.conversations import StoredConversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What comes before the input."""

    previous_id: UUID | None = None
    conversation_id: UUID | None = None
    items: list[dict[str, Any]] = field(default_factory=list)
    is_remembered: bool = False
    """Whether the items are stored nowhere, but remembered by the client's connection."""


def stored_context(at: Services, project_id: str, body: CreateResponse) -> Context:
    """The context that the request names; raises an `AppError` if it cannot go on from it."""
    conversation = body.conversation
    if conversation is None:
        if body.previous_response_id is None:
            return Context()
        return _earlier_turns(at, project_id, body.previous_response_id)
    if body.previous_response_id is not None:
        message = "conversation and previous_response_id exclude each other."
        raise InvalidRequestError(message, param="conversation")
    if not body.store:
        raise InvalidRequestError("conversation needs store to be true.", param="store")
    wire_id = conversation if isinstance(conversation, str) else conversation.id
    return _conversation(at, project_id, wire_id)


def _earlier_turns(at: Services, project_id: str, wire_id: str) -> Context:
    param = "previous_response_id"
    previous_id = parse_response_id(wire_id)
    previous = at.store.responses.get(project_id, previous_id) if previous_id else None
    if previous is None:
        message = f"Previous response with id '{wire_id}' not found."
        raise PreviousResponseNotFoundError(message, param=param)
    if previous.status not in CONTINUABLE:
        message = f"Response '{wire_id}' is {previous.status}; only a finished one can go on."
        raise InvalidRequestError(message, param=param)
    if previous.conversation_id is not None:
        message = f"Response '{wire_id}' is part of a conversation; go on with `conversation`."
        raise InvalidRequestError(message, param=param)
    items = at.store.items.of_chain(project_id, previous.id)
    return Context(previous_id=previous.id, items=items)


def find_conversation(at: Services, project_id: str, wire_id: str) -> StoredConversation:
    """A conversation of the project; raises `ConversationNotFoundError`."""
    conversation_id = parse_conversation_id(wire_id)
    found = at.store.conversations.get(project_id, conversation_id) if conversation_id else None
    if found is None:
        raise ConversationNotFoundError(wire_id)
    return found


def _conversation(at: Services, project_id: str, wire_id: str) -> Context:
    found = find_conversation(at, project_id, wire_id)
    items = at.store.conversations.items(project_id, found.id)
    return Context(conversation_id=found.id, items=items)
