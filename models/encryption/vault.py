"""Encryption of the server's own secrets where the database stores them.

The key is in a file, `ANTIPHON_SECRET_FILE`: the database and its backups alone do not reveal them.
"""

import base64
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.encryption.key_file import KeyFile, KeyFileError, Keys

_PREFIX = "enc1:"
_NONCE_BYTES = 12
_MIN_LENGTH = 16


class VaultError(Exception):
    """Raised if a stored secret cannot be decrypted, or for a file that is no secret."""


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """Key (32 bytes) for another purpose, which reveals neither the secret nor other keys."""

    key: bytes = field(repr=False)
    fingerprint: str
    """Eight hexadecimal digits that tell keys of one purpose apart."""


@dataclass(frozen=True, slots=True)
class SecretVault:
    """Cipher of stored secrets; without a file of keys, they are stored in the clear.

    The first key of the file encrypts, all decrypt. The file is read again when it changes, and
    before a secret counts as encrypted with another one.
    """

    file: KeyFile | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Return the vault with the keys in a file; None: a vault without a key."""
        if path is None:
            return cls()
        try:
            return cls(KeyFile(path, _parse))
        except KeyFileError as error:
            raise VaultError(f"ANTIPHON_SECRET_FILE={error}") from None

    @property
    def key(self) -> bytes | None:
        """Key that encrypts; None if secrets are stored in the clear."""
        return None if self.file is None else self.file.keys[0]

    def encrypt(self, owner: str, secret: str) -> str:
        """Return a secret in the form to store; only the same `owner` can decrypt it."""
        if (key := self.key) is None:
            return secret
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = AESGCM(key).encrypt(nonce, secret.encode(), owner.encode())
        return _PREFIX + base64.b64encode(nonce + encrypted).decode()

    def decrypt(self, owner: str, stored: str) -> str:
        """Return a stored secret; one that was stored without a key is returned as it is."""
        if not stored.startswith(_PREFIX):
            return stored
        if self.file is None:
            raise VaultError("A stored secret is encrypted; ANTIPHON_SECRET_FILE names no file.")
        known = self.file.keys
        secret = _decrypt(known, owner, stored)
        if secret is None and (changed := self.file.reread()) != known:
            secret = _decrypt(changed, owner, stored)
        if secret is None:
            raise VaultError("A stored secret was encrypted with another ANTIPHON_SECRET_FILE.")
        return secret

    def derive(self, purpose: str) -> tuple[DerivedKey, ...]:
        """Return the keys for a purpose, newest first; none without a secret file.

        They are derived with HKDF-SHA256 (RFC 5869).
        """
        keys = () if self.file is None else self.file.keys
        return tuple(_derive(key, purpose) for key in keys)

    def find_derived(self, purpose: str, fingerprint: str) -> DerivedKey | None:
        """Return the key for a purpose with a fingerprint; None if no line of the file has it.

        The file is read again first if that is not known.
        """
        for read in (self.derive, self._derive_anew):
            for derived in read(purpose):
                if derived.fingerprint == fingerprint:
                    return derived
        return None

    def _derive_anew(self, purpose: str) -> tuple[DerivedKey, ...]:
        if self.file is not None:
            self.file.reread()
        return self.derive(purpose)

    def is_encrypted(self, stored: str) -> bool:
        """Return True if a stored secret is encrypted."""
        return stored.startswith(_PREFIX)

    def is_current(self, owner: str, stored: str) -> bool:
        """Return True if a stored secret is encrypted with the key that encrypts now."""
        key = self.key
        return key is not None and _decrypt([key], owner, stored) is not None


def _parse(lines: list[str]) -> Keys:
    """Return the key of each line, and that of the whole text.

    Versions before this one took a file as one key, whatever its number of lines.
    """
    for number, line in enumerate(lines, start=1):
        if len(line) < _MIN_LENGTH:
            raise ValueError(f"key {number} is shorter than {_MIN_LENGTH} characters")
    if not lines:
        raise ValueError(f"there is no key, which has at least {_MIN_LENGTH} characters")
    texts = dict.fromkeys([*lines, "\n".join(lines)])
    return tuple(hashlib.sha256(b"antiphon secrets\0" + text.encode()).digest() for text in texts)


def _decrypt(keys: Iterable[bytes], owner: str, stored: str) -> str | None:
    """Return the secret if one of the keys has encrypted it for this owner."""
    if not stored.startswith(_PREFIX):
        return None
    data = base64.b64decode(stored.removeprefix(_PREFIX))
    nonce, encrypted = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
    for key in keys:
        try:
            return AESGCM(key).decrypt(nonce, encrypted, owner.encode()).decode()
        except InvalidTag:
            continue
    return None


@lru_cache
def _derive(key: bytes, purpose: str) -> DerivedKey:
    derived = HKDF(SHA256(), 32, salt=None, info=f"antiphon {purpose}".encode()).derive(key)
    fingerprint = hashlib.sha256(b"fingerprint" + derived).hexdigest()[:8]
    return DerivedKey(derived, fingerprint)


def owner_of_project(project_id: str) -> str:
    """Return the owner of a project's encryption key."""
    return f"project {project_id}"


def owner_of_endpoint(endpoint_id: UUID) -> str:
    """Return the owner of a webhook endpoint's signing secrets."""
    return f"webhook endpoint {endpoint_id.hex}"


def owner_of_response(response_id: UUID) -> str:
    """Return the owner of the key of an unstored response's content."""
    return f"response {response_id.hex}"


def owner_of_tools(response_id: UUID) -> str:
    """Return the owner of the secrets of a response's tools."""
    return f"tools of {owner_of_response(response_id)}"
