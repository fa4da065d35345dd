"""Loading of a claimed response's parameters and of the items in its context."""

from dataclasses import replace
from typing import Any

from models.encryption.unstored import UnstoredCipher
from models.errors import ContentLostError, PreviousResponseNotFoundError
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.store.store import Store
from models.streams.unstored import UnstoredContents


def load_input(
    record: ResponseRecord, store: Store, unstored: UnstoredContents
) -> tuple[ResponseRecord, list[dict[str, Any]]]:
    """Return the response with its parameters, and all items before its output, oldest first.

    Raises `ContentLostError` if the content was not stored and has expired, and
    `PreviousResponseNotFoundError` if a response that it continues has been deleted.
    """
    if record.store:
        items = store.items.of_chain(record.project_id, record.id)
        if record.conversation_id is None:
            return record, items
        # No items are added to a conversation while one of its responses runs.
        return record, store.conversations.items(record.project_id, record.conversation_id) + items
    content = unstored.get(UnstoredCipher.of(record))
    if content is None:
        raise ContentLostError
    before: list[dict[str, Any]] = []
    if record.previous_response_id and not content.has_context:
        before = store.items.of_chain(record.project_id, record.previous_response_id)
        if not before:
            wire_id = response_wire_id(record.previous_response_id)
            raise PreviousResponseNotFoundError(f"Response '{wire_id}' was deleted or has expired.")
    record = replace(
        record,
        parameters=content.parameters,
        metadata=content.metadata,
        tool_secrets=content.tool_secrets,
    )
    return record, before + content.items
