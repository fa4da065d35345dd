"""Encryption of the content of one response, in Redis, which writes to disk, and in Postgres.

An unstored response has a random key, which is in its row in Postgres until its content is
delivered or expires: neither the files of Redis nor those of Postgres have the content in the
clear. The key of a stored one is derived from its project's, if content is encrypted at rest.
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
    def store(self) -> bool:
        """True if its content is in Postgres."""

    @property
    def content_key(self) -> bytes | None:
        """Key of its content; None if that is in the clear, or if the key is erased."""


def new_content_key() -> bytes:
    """Return a new random 256-bit key."""
    return AESGCM.generate_key(256)


@dataclass(frozen=True, slots=True)
class ResponseCipher:
    """Cipher of one response, or conversation, by AES-GCM; without a key, content is in the clear.

    What it encrypts is of the same owner and purpose alone.
    """

    owner_id: UUID
    key: bytes | None

    @classmethod
    def of(cls, record: KeyedRecord) -> Self:
        """Return the cipher of a response."""
        return cls(record.id, record.content_key)

    @classmethod
    def of_log(cls, record: KeyedRecord) -> Self | None:
        """Return the cipher of a response's events in Redis; None if these are in the clear."""
        return None if record.store and record.content_key is None else cls.of(record)

    def encrypt(self, purpose: str, data: bytes) -> bytes:
        """Return `data` as ciphertext in base64."""
        return data if self.key is None else base64.b64encode(self.encrypt_binary(purpose, data))

    def decrypt(self, purpose: str, data: bytes) -> bytes | None:
        """Return what `encrypt` was called with; None if the key is not, or no longer, the one.

        JSON is returned as it is: versions before 0011 of the schema did not encrypt.
        """
        if data.startswith(_JSON_START):
            return data
        try:
            return self.decrypt_binary(purpose, base64.b64decode(data, validate=True))
        except ValueError:
            return None

    def encrypt_binary(self, purpose: str, data: bytes) -> bytes:
        """Return `data` as ciphertext."""
        if self.key is None:
            return data
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, data, self._associated(purpose))

    def decrypt_binary(self, purpose: str, data: bytes) -> bytes | None:
        """Return what `encrypt_binary` was called with; None if the key is not the one."""
        if self.key is None:
            return None
        try:
            nonce, encrypted = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
            return AESGCM(self.key).decrypt(nonce, encrypted, self._associated(purpose))
        except (InvalidTag, ValueError):
            return None

    def _associated(self, purpose: str) -> bytes:
        return self.owner_id.bytes + purpose.encode()
