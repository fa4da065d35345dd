"""What a claimed response is made from: its parameters and the items of its context."""

from dataclasses import replace
from typing import Any

from models.errors import AppError
from models.responses.record import ResponseRecord
from models.store.store import Store
from models.streams.unstored import UnstoredContents


class ContentLostError(AppError):
    """The request was not stored and its content is gone; send it again."""


def load_input(
    stored: ResponseRecord, store: Store, unstored: UnstoredContents
) -> tuple[ResponseRecord, list[dict[str, Any]]]:
    """The response with its parameters, and all items before its output, oldest first."""
    if stored.store:
        items = store.items.of_chain(stored.project_id, stored.id)
        if stored.conversation_id is None:
            return stored, items
        # Nobody adds to a conversation while a response works on it.
        return stored, store.conversations.items(stored.project_id, stored.conversation_id) + items
    content = unstored.get(stored.id)
    if content is None:
        raise ContentLostError
    before: list[dict[str, Any]] = []
    if stored.previous_response_id:
        before = store.items.of_chain(stored.project_id, stored.previous_response_id)
    whole = replace(stored, parameters=content.parameters, metadata=content.metadata)
    return whole, before + content.items
