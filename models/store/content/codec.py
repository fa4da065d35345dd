"""Content of rows as the store's callers know it, and as it is in the tables.

Content is encrypted from the creation of a response on, or not while it runs: its row tells if its
events in Redis are. Rows in the clear and encrypted ones may be beside each other.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson

from models.encryption.content_keys import DataKey
from models.ids import parse_item_id
from models.responses.record import ResponseRecord
from models.store.content.row_cipher import RowCipher, is_encrypted

CONVERSATION = "item"
"""Place of the items of conversations, of which the id is part."""
PARAMETERS, METADATA, ERROR, CHECKPOINT = "parameters", "metadata", "error", "checkpoint"
EVENTS = "events"

_COLUMNS = (PARAMETERS, METADATA, ERROR)


class StoredItem(NamedTuple):
    """Item as it is in a row, and where that is."""

    body: dict[str, Any]
    owner_id: UUID
    """Id of its response or conversation."""
    place: str
    """`CONVERSATION`, or its direction and position in its response."""


class KeySource(Protocol):
    """Data keys of projects: `DataKeys`."""

    @property
    def encrypts(self) -> bool:
        """True if new content is encrypted."""

    def of(self, project_id: str, *, is_new: bool = False) -> DataKey:
        """Return the key of a project, which is created if it `is_new`."""


class ContentCodec:
    """Conversion of content for all tables; only its caller decides what is content."""

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys

    @property
    def encrypts(self) -> bool:
        """True if new content is encrypted."""
        return self._keys.encrypts

    def new_key(self, project_id: str, response_id: UUID) -> bytes | None:
        """Return the key of the content of a new stored response; None if that is in the clear."""
        return self._new(project_id).of_response(response_id) if self.encrypts else None

    def writer(self, record: ResponseRecord) -> RowCipher:
        """Return the cipher of a response's row, also of one whose content is not stored."""
        if record.store:
            return RowCipher.of(record)
        return RowCipher(record.id, self.new_key(record.project_id, record.id))

    def conversation(self, project_id: str, conversation_id: UUID) -> RowCipher:
        """Return the cipher of new content of a conversation."""
        key = self._new(project_id).of_conversation(conversation_id) if self.encrypts else None
        return RowCipher(conversation_id, key)

    def write_item(
        self, cipher: RowCipher, project_id: str, place: str, item: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the body of an item.

        Ids that clients give may be those of several items: `eq` tells if these are equal.
        """
        if cipher.key is None or "id" not in item:
            return cipher.write_json(place, item)
        visible = {"id": item["id"]}
        if parse_item_id(item["id"]) is None:
            visible["eq"] = _encode(self._new(project_id).digest("item", orjson.dumps(item)))
        return cipher.write_json(place, item, visible)

    def items_of_response(
        self, record: ResponseRecord, direction: str, items: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the bodies of a response's items."""
        cipher = RowCipher.of(record)
        return [
            self.write_item(cipher, record.project_id, f"{direction} {position}", item)
            for position, item in enumerate(items)
        ]

    def items_of_conversation(
        self, project_id: str, conversation_id: UUID, items: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the bodies of a conversation's items."""
        cipher = self.conversation(project_id, conversation_id)
        return [self.write_item(cipher, project_id, CONVERSATION, item) for item in items]

    def metadata_of_response(self, record: ResponseRecord) -> dict[str, Any]:
        """Return the metadata of a response, with digests by which its pairs are found."""
        return self.write_metadata(RowCipher.of(record), record.project_id, record.metadata)

    def write_metadata(
        self, cipher: RowCipher, project_id: str, pairs: dict[str, str]
    ) -> dict[str, Any]:
        """Return metadata in the form to store; none is in the clear, as no index has it."""
        if cipher.key is None or not pairs:
            return pairs
        return cipher.write_json(METADATA, pairs, self._digests(project_id, pairs))

    def metadata_digests(self, project_id: str, pairs: dict[str, str]) -> dict[str, str]:
        """Return what encrypted metadata with these pairs contains; nothing if none is new."""
        return self._digests(project_id, pairs) if self.encrypts else {}

    def keyed_digest(self, project_id: str, purpose: str, digest: bytes) -> bytes:
        """Return the digest of content in the form to store, which no guess is compared with."""
        return self._new(project_id).digest(purpose, digest) if self.encrypts else digest

    def read_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of a row of `responses`, and its output, with content as it was."""
        output = fields.get("output", ())
        checkpoint = fields.get(CHECKPOINT)
        is_keyed = fields["store"] and is_encrypted(fields[PARAMETERS])
        contents = (fields[METADATA], fields[ERROR], checkpoint, *output)
        if not is_keyed and not any(map(is_encrypted, contents)):
            return fields
        key = self._keys.of(fields["project_id"]).of_response(fields["id"])
        cipher = RowCipher(fields["id"], key)
        read = {name: fields[name] and cipher.read_json(name, fields[name]) for name in _COLUMNS}
        if output:
            read["output"] = [
                cipher.read_json(f"output {position}", body) for position, body in enumerate(output)
            ]
        if checkpoint is not None:
            read[CHECKPOINT] = cipher.read_bytes(CHECKPOINT, checkpoint)
        if is_keyed:
            read["content_key"] = key
        return {**fields, **read}

    def read_items(self, project_id: str, items: Iterable[StoredItem]) -> list[dict[str, Any]]:
        """Return items as they were."""
        return [
            self._reader(project_id, item).read_json(item.place, item.body)
            if is_encrypted(item.body)
            else item.body
            for item in items
        ]

    def read_metadata_of_conversation(
        self, project_id: str, conversation_id: UUID, stored: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the metadata of a conversation as it was."""
        if not is_encrypted(stored):
            return stored
        key = self._keys.of(project_id).of_conversation(conversation_id)
        return RowCipher(conversation_id, key).read_json(METADATA, stored)

    def read_events(self, project_id: str, response_id: UUID, stored: bytes) -> bytes:
        """Return the archive of a response's events as it was."""
        if not is_encrypted(stored):
            return stored
        key = self._keys.of(project_id).of_response(response_id)
        return RowCipher(response_id, key).read_bytes(EVENTS, stored)

    def _new(self, project_id: str) -> DataKey:
        return self._keys.of(project_id, is_new=True)

    def _reader(self, project_id: str, item: StoredItem) -> RowCipher:
        data_key = self._keys.of(project_id)
        is_of_conversation = item.place == CONVERSATION
        derive = data_key.of_conversation if is_of_conversation else data_key.of_response
        return RowCipher(item.owner_id, derive(item.owner_id))

    def _digests(self, project_id: str, pairs: dict[str, str]) -> dict[str, str]:
        data_key = self._new(project_id)
        return {
            _encode(data_key.digest("name", name.encode())): _encode(
                data_key.digest("pair", name.encode(), value.encode())
            )
            for name, value in pairs.items()
        }


def _encode(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
