"""Content of one response or conversation in rows: JSON and bytes, in the clear or encrypted.

Encrypted JSON is `{"enc": [1, "…"]}`, with the version of the form and the ciphertext in base64,
and beside it what statements look for: the id of an item. No content has a list under that name.
Encrypted bytes begin with a mark that neither compressed data nor a checkpoint begins with.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import orjson

from models.encryption.response import KeyedRecord, ResponseCipher
from models.errors import ContentDamagedError, ContentLockedError

_NAME = "enc"
_VERSION = 1
_MARK = b"\xffenc1"


def is_encrypted(stored: object) -> bool:
    """Return True for JSON or bytes of a row that are encrypted."""
    if isinstance(stored, dict):
        return isinstance(stored.get(_NAME), list)
    return isinstance(stored, bytes) and stored.startswith(_MARK)


def as_json(value: object) -> str:
    """Return a value in the form in which statements take JSON."""
    return orjson.dumps(value).decode()


def as_hex(stored: bytes | None) -> str | None:
    """Return bytes in the form in which JSON has them for Postgres: its hexadecimal format."""
    return None if stored is None else rf"\x{stored.hex()}"


@dataclass(frozen=True, slots=True)
class RowCipher:
    """Cipher of the rows of one owner; without a key, new content is in the clear.

    `place` names the column, and what tells the rows of one owner apart: content is of one place.
    """

    owner_id: UUID
    key: bytes | None

    @classmethod
    def of(cls, record: KeyedRecord) -> Self:
        """Return the cipher of a response: the rows of one that is not stored have no content."""
        return cls(record.id, record.content_key if record.store else None)

    def write_json(
        self, place: str, value: dict[str, Any], visible: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return an object in the form to store; encrypted, it has the names that are `visible`."""
        if self.key is None:
            return value
        clear = {**visible} if visible else {}
        encrypted = self._cipher.encrypt(_purpose(place, clear), orjson.dumps(value))
        return {**clear, _NAME: [_VERSION, encrypted.decode()]}

    def read_json(self, place: str, stored: dict[str, Any]) -> dict[str, Any]:
        """Return the object that `write_json` was called with."""
        if not is_encrypted(stored):
            return stored
        clear = {name: value for name, value in stored.items() if name != _NAME}
        _, encrypted = stored[_NAME]
        value: dict[str, Any] = orjson.loads(
            self._decrypt(_purpose(place, clear), base64.b64decode(encrypted))
        )
        return value

    def write_bytes(self, place: str, data: bytes) -> bytes:
        """Return bytes in the form to store."""
        return data if self.key is None else _MARK + self._cipher.encrypt_binary(place, data)

    def read_bytes(self, place: str, stored: bytes) -> bytes:
        """Return the bytes that `write_bytes` was called with."""
        if not is_encrypted(stored):
            return stored
        return self._decrypt(place, stored.removeprefix(_MARK))

    @property
    def _cipher(self) -> ResponseCipher:
        return ResponseCipher(self.owner_id, self.key)

    def _decrypt(self, purpose: str, encrypted: bytes) -> bytes:
        if self.key is None:
            raise ContentLockedError
        data = self._cipher.decrypt_binary(purpose, encrypted)
        if data is None:
            raise ContentDamagedError
        return data


def _purpose(place: str, clear: Mapping[str, Any]) -> str:
    """Return the purpose for which JSON is encrypted, with what is visible of it."""
    return f"{place} {orjson.dumps(clear).decode()}" if clear else place
