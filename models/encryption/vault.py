"""Encryption of the server's own secrets where the database stores them.

The key is in a file, `ANTIPHON_SECRET_FILE`: the database and its backups alone do not reveal them.
"""

import base64
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = "enc1:"
_NONCE_BYTES = 12
_MIN_LENGTH = 16


class VaultError(Exception):
    """Raised if a stored secret cannot be decrypted, or for a file that is no secret."""


@dataclass(frozen=True, slots=True)
class SecretVault:
    """Cipher of stored secrets; without a key, they are stored in the clear."""

    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Return the vault with the key in a file; None: a vault without a key."""
        if path is None:
            return cls()
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise VaultError(f"ANTIPHON_SECRET_FILE={str(path)!r}: {error}") from None
        if len(text) < _MIN_LENGTH:
            raise VaultError(
                f"ANTIPHON_SECRET_FILE={str(path)!r}: shorter than {_MIN_LENGTH} characters"
            )
        return cls(hashlib.sha256(b"antiphon secrets\0" + text.encode()).digest())

    def encrypt(self, owner: str, secret: str) -> str:
        """Return a secret in the form to store; only the same `owner` can decrypt it."""
        if self.key is None:
            return secret
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = AESGCM(self.key).encrypt(nonce, secret.encode(), owner.encode())
        return _PREFIX + base64.b64encode(nonce + encrypted).decode()

    def decrypt(self, owner: str, stored: str) -> str:
        """Return a stored secret; one that was stored without a key is returned as it is."""
        if not stored.startswith(_PREFIX):
            return stored
        if self.key is None:
            raise VaultError("A stored secret is encrypted; ANTIPHON_SECRET_FILE names no file.")
        data = base64.b64decode(stored.removeprefix(_PREFIX))
        nonce, encrypted = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
        try:
            return AESGCM(self.key).decrypt(nonce, encrypted, owner.encode()).decode()
        except InvalidTag:
            raise VaultError(
                "A stored secret was encrypted with another ANTIPHON_SECRET_FILE."
            ) from None

    def is_encrypted(self, stored: str) -> bool:
        """Return True if a stored secret is encrypted."""
        return stored.startswith(_PREFIX)


def owner_of_project(project_id: str) -> str:
    """Return the owner of a project's encryption key."""
    return f"project {project_id}"


def owner_of_endpoint(endpoint_id: UUID) -> str:
    """Return the owner of a webhook endpoint's signing secrets."""
    return f"webhook endpoint {endpoint_id.hex}"


def owner_of_response(response_id: UUID) -> str:
    """Return the owner of the key of an unstored response's content."""
    return f"response {response_id.hex}"
