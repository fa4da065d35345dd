"""Keys of content at rest: data keys of projects, encrypted with the keys of a file.

The file, `ANTIPHON_CONTENT_KEYS_FILE`, has keys of 256 bits in base64, one a line, the newest
first. The keys of responses and conversations are derived from the data key of their project. A
rotation of the file encrypts the data keys anew, and no content.
"""

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.encryption.key_file import KeyFile, KeyFileError, Keys

_KEY_BYTES = 32
_NONCE_BYTES = 12
_DIGEST_BYTES = 16


class ContentKeyError(Exception):
    """Raised for a file without valid keys, or a data key that none of its keys has encrypted."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """Key of one project, from which the keys of its content are derived, by HMAC-SHA256."""

    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Return a random key."""
        return cls(os.urandom(_KEY_BYTES))

    def of_response(self, response_id: UUID) -> bytes:
        """Return the key of the content of a response."""
        return self._derive(b"response", response_id.bytes)

    def of_conversation(self, conversation_id: UUID) -> bytes:
        """Return the key of the content of a conversation."""
        return self._derive(b"conversation", conversation_id.bytes)

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """Return a digest by which equal values of one purpose are found, and nothing else."""
        lengths = b"".join(len(part).to_bytes(8) for part in parts)
        return self._derive(f"digest of {purpose}".encode(), lengths, *parts)[:_DIGEST_BYTES]

    def _derive(self, purpose: bytes, *parts: bytes) -> bytes:
        return hmac.digest(self.key, b"\0".join((purpose, *parts)), "sha256")


@dataclass(frozen=True, slots=True)
class ContentKeyring:
    """Keys of a file, the first of which encrypts the data keys of projects."""

    file: KeyFile | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Return the keys of a file; None: there are none, and content is in the clear."""
        if path is None:
            return cls()
        try:
            return cls(KeyFile(path, _parse))
        except KeyFileError as error:
            raise ContentKeyError(f"ANTIPHON_CONTENT_KEYS_FILE={error}") from None

    @property
    def has_keys(self) -> bool:
        """True if content is to be encrypted."""
        return self.file is not None and bool(self.file.keys)

    def encrypt(self, project_id: str, data_key: DataKey) -> str:
        """Return a data key in the form to store, which only its project can use."""
        assert self.file is not None
        key, nonce = self.file.keys[0], os.urandom(_NONCE_BYTES)
        encrypted = AESGCM(key).encrypt(nonce, data_key.key, _associated(project_id))
        return f"{_fingerprint(key)}:{base64.b64encode(nonce + encrypted).decode()}"

    def decrypt(self, project_id: str, stored: str) -> DataKey:
        """Return a stored data key; the file is read again before its key counts as missing."""
        fingerprint, _, encoded = stored.partition(":")
        key = self._find(fingerprint)
        data = base64.b64decode(encoded)
        nonce, encrypted = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
        try:
            return DataKey(AESGCM(key).decrypt(nonce, encrypted, _associated(project_id)))
        except InvalidTag:
            raise ContentKeyError("A stored data key is damaged, or of another project.") from None

    def is_current(self, stored: str) -> bool:
        """Return True if a stored data key is encrypted with the first key."""
        assert self.file is not None
        return stored.startswith(f"{_fingerprint(self.file.keys[0])}:")

    def _find(self, fingerprint: str) -> bytes:
        if self.file is None:
            raise ContentKeyError("Content is encrypted; ANTIPHON_CONTENT_KEYS_FILE names no file.")
        for read in (lambda file: file.keys, KeyFile.reread):
            for key in read(self.file):
                if _fingerprint(key) == fingerprint:
                    return key
        message = f"ANTIPHON_CONTENT_KEYS_FILE has no key with the fingerprint {fingerprint}."
        raise ContentKeyError(message)


def _parse(lines: list[str]) -> Keys:
    """Return the key of each line that is not a comment; there may be none as yet."""
    numbered = enumerate((line for line in lines if not line.startswith("#")), start=1)
    return tuple(_parse_key(number, line) for number, line in numbered)


def _parse_key(number: int, line: str) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"key {number} is not {_KEY_BYTES} bytes in base64")
    return key


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"antiphon content key\0" + key).hexdigest()[:8]


def _associated(project_id: str) -> bytes:
    return f"data key of project {project_id}".encode()
