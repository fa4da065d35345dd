"""Encryption of the content of unstored responses while it is in Redis, which writes to disk.

Each response has a random key, which is in its row in Postgres until its content is delivered or
expires: neither the files of Redis nor those of Postgres have the content in the clear.
"""

import base64
import os
from dataclasses import dataclass
from typing import Protocol, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_JSON_START = b"{"


class KeyedRecord(Protocol):
    """Record of a response that may have a key of its own."""

    @property
    def id(self) -> UUID:
        """Id of the response."""

    @property
    def content_key(self) -> bytes | None:
        """Key of its content in Redis; None if that is in the clear."""


def new_content_key() -> bytes:
    """Return a new random 256-bit key."""
    return AESGCM.generate_key(256)


@dataclass(frozen=True, slots=True)
class UnstoredCipher:
    """Cipher of one response, by AES-GCM; without a key, content is in the clear."""

    response_id: UUID
    key: bytes | None

    @classmethod
    def of(cls, record: KeyedRecord) -> Self:
        """Return the cipher of a response."""
        return cls(record.id, record.content_key)

    def encrypt(self, purpose: str, data: bytes) -> bytes:
        """Return `data` as ciphertext in base64, for the same response and purpose alone."""
        if self.key is None:
            return data
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = AESGCM(self.key).encrypt(nonce, data, self._associated(purpose))
        return base64.b64encode(nonce + encrypted)

    def decrypt(self, purpose: str, data: bytes) -> bytes | None:
        """Return what `encrypt` was called with; None if the key is not, or no longer, the one.

        JSON is returned as it is: versions before 0011 of the schema did not encrypt.
        """
        if data.startswith(_JSON_START):
            return data
        if self.key is None:
            return None
        try:
            raw = base64.b64decode(data, validate=True)
            nonce, encrypted = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
            return AESGCM(self.key).decrypt(nonce, encrypted, self._associated(purpose))
        except (InvalidTag, ValueError):
            return None

    def _associated(self, purpose: str) -> bytes:
        return self.response_id.bytes + purpose.encode()
