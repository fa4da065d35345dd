"""Content that clients carry but cannot read or change: `encrypted_content`.

Sealed with a key of the project's own, so that what one project was given is nothing to another,
and for a purpose, so that one kind of content is never taken for another.
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
    """The text was not sealed here for this project and purpose, or was changed since."""


def new_encryption_key() -> str:
    """A key as a `ContentCipher` takes it, in base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


class ContentCipher:
    """Seals and opens JSON objects; keys are fetched once per project.

    AES-SIV (RFC 5297): equal content has an equal seal, so that an attempt that makes an event
    again makes the same bytes.
    """

    def __init__(self, key_of: Callable[[str], str]) -> None:
        """`key_of` gives a project's key, as `new_encryption_key` writes it."""
        self._key_of = key_of
        self._boxes: dict[str, AESSIV] = {}
        self._lock = threading.Lock()

    def encrypt(self, project_id: str, purpose: str, content: dict[str, Any]) -> str:
        """An opaque text that `open` turns back into `content`."""
        sealed = self._box(project_id).encrypt(orjson.dumps(content), [purpose.encode()])
        return base64.urlsafe_b64encode(sealed).decode()

    def decrypt(self, project_id: str, purpose: str, sealed: str) -> dict[str, Any]:
        """What was sealed for this project and purpose; `DecryptionError` for any other text."""
        try:
            data = base64.b64decode(sealed, altchars=b"-_", validate=True)
            opened = self._box(project_id).decrypt(data, [purpose.encode()])
        except (InvalidTag, ValueError) as error:
            raise DecryptionError from error
        content: dict[str, Any] = orjson.loads(opened)
        return content

    def _box(self, project_id: str) -> AESSIV:
        with self._lock:
            if project_id not in self._boxes:
                key = base64.urlsafe_b64decode(self._key_of(project_id))
                self._boxes[project_id] = AESSIV(key)
            return self._boxes[project_id]
