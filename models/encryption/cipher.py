"""Authenticated encryption of `encrypted_content`, which clients store and send back.

Each project has its own key, so one project cannot use the content of another. The purpose is
authenticated with the content, so one kind of content is never accepted as another.
"""

import base64
import secrets
import threading
from collections.abc import Callable
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_KEY_BYTES = 32


class DecryptionError(Exception):
    """The text was not encrypted here for this project and purpose, or has been changed since."""


def new_encryption_key() -> str:
    """Return a new random 256-bit key for `ContentCipher`, in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


class ContentCipher:
    """Cipher for JSON objects, with one key per project, fetched once and cached.

    AES-SIV (RFC 5297) is deterministic: a later attempt that generates an event again produces the
    same bytes.
    """

    def __init__(self, fetch_key: Callable[[str], str]) -> None:
        """`fetch_key` maps a project's id to its key, in the format of `new_encryption_key`."""
        self._fetch_key = fetch_key
        self._ciphers: dict[str, AESSIV] = {}
        self._lock = threading.Lock()

    def encrypt(self, project_id: str, purpose: str, content: dict[str, Any]) -> str:
        """Return `content` as URL-safe base64 ciphertext, which `decrypt` reverses."""
        encrypted = self._project_cipher(project_id).encrypt(
            orjson.dumps(content), [purpose.encode()]
        )
        return base64.urlsafe_b64encode(encrypted).decode()

    def decrypt(self, project_id: str, purpose: str, encrypted: str) -> dict[str, Any]:
        """Return the content that `encrypt` was called with.

        Raises `DecryptionError` for a text not encrypted for this project and purpose.
        """
        try:
            data = base64.b64decode(encrypted, altchars=b"-_", validate=True)
            decrypted = self._project_cipher(project_id).decrypt(data, [purpose.encode()])
        except (InvalidTag, ValueError) as error:
            raise DecryptionError from error
        content: dict[str, Any] = orjson.loads(decrypted)
        return content

    def _project_cipher(self, project_id: str) -> AESSIV:
        with self._lock:
            if project_id not in self._ciphers:
                key = base64.urlsafe_b64decode(self._fetch_key(project_id))
                self._ciphers[project_id] = AESSIV(key)
            return self._ciphers[project_id]
