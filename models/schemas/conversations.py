"""Conversations: request bodies and resources."""

from typing import Literal

from pydantic import BaseModel, Field

from models.schemas.items import InputItem
from models.schemas.request.create_response import Metadata
from models.schemas.strict import FailFastList, WireModel

MAX_NEW_ITEMS = 20
"""Maximum items that one request may add (OpenAI's limit)."""


class CreateConversation(WireModel):
    """The body of POST /v1/conversations; nothing is required."""

    items: FailFastList[InputItem] = Field(default_factory=list, max_length=MAX_NEW_ITEMS)
    metadata: Metadata = Field(default_factory=dict)


class UpdateConversation(WireModel):
    """The body of POST /v1/conversations/{id}: the metadata that replaces the old."""

    metadata: Metadata


class CreateItems(WireModel):
    """The body of POST /v1/conversations/{id}/items."""

    items: FailFastList[InputItem] = Field(min_length=1, max_length=MAX_NEW_ITEMS)


class ConversationResource(BaseModel):
    """A conversation, without its items."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str]


class DeletedConversation(BaseModel):
    """Confirmation that a conversation was deleted."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class AnyItem(BaseModel):
    """One item, of any type."""

    model_config = {"extra": "allow"}

    type: str
    id: str
