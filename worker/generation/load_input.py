"""Loading of a claimed response's parameters and of the items in its context."""

from dataclasses import replace
from typing import Any

from models.encryption.response import ResponseCipher
from models.errors import ContentLostError, PreviousResponseNotFoundError
from models.ids import response_wire_id
from models.responses.record import ResponseRecord
from models.store.store import Store
from models.streams.unstored import UnstoredContents


def load_input(
    record: ResponseRecord, store: Store, unstored: UnstoredContents
) -> tuple[ResponseRecord, list[dict[str, Any]]]:
    """Return the response with its parameters, and all items before its output, oldest first.

    If the content was not stored and its client has left since the claim, return the response with
    a cancel requested. Raises `ContentLostError` if such content is lost otherwise, and
    `PreviousResponseNotFoundError` if a response that it continues has been deleted.
    """
    if record.store:
        is_first = record.previous_response_id is None
        read = store.items.input_of if is_first else store.items.of_chain
        items = read(record.project_id, record.id)
        if record.conversation_id is None:
            return record, items
        # No items are added to a conversation while one of its responses runs.
        return record, store.conversations.items(record.project_id, record.conversation_id) + items
    content = unstored.get(ResponseCipher.of(record))
    if content is None:
        return _without_content(record, store), []
    before: list[dict[str, Any]] = []
    previous_id = record.previous_response_id
    if previous_id and not content.has_context:
        before = store.items.of_chain(record.project_id, previous_id)
        # A warm-up may have no items.
        if not before and not store.responses.statuses([(record.project_id, previous_id)]):
            wire_id = response_wire_id(previous_id)
            raise PreviousResponseNotFoundError(f"Response '{wire_id}' was deleted or has expired.")
    record = replace(
        record,
        parameters=content.parameters,
        metadata=content.metadata,
        tool_secrets=content.tool_secrets,
    )
    return record, before + content.items


def _without_content(record: ResponseRecord, store: Store) -> ResponseRecord:
    """Return a response whose content is gone, with the cancel that was requested before that.

    Raises `ContentLostError` if none was.
    """
    row = store.responses.get_unstored(record.project_id, record.id)
    if row is None or not row.cancel_requested:
        raise ContentLostError
    return replace(record, cancel_requested=True)
