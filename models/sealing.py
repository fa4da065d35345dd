"""Content that clients carry but cannot read or change: `encrypted_content`.

Sealed with a key of the project's own, so that what one project was given is nothing to another.
"""

import threading
from collections.abc import Callable
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken


class SealBrokenError(Exception):
    """The text was not sealed here for this project, or was changed since."""


class Sealer:
    """Seals and opens JSON objects; keys are fetched once per project."""

    def __init__(self, key_of: Callable[[str], str]) -> None:
        """`key_of` gives a project's key, as `Fernet.generate_key` writes it."""
        self._key_of = key_of
        self._boxes: dict[str, Fernet] = {}
        self._lock = threading.Lock()

    def seal(self, project_id: str, content: dict[str, Any]) -> str:
        """An opaque text that `open` turns back into `content`."""
        return self._box(project_id).encrypt(orjson.dumps(content)).decode()

    def open(self, project_id: str, sealed: str) -> dict[str, Any]:
        """What was sealed for this project; raises `SealBrokenError` for any other text."""
        try:
            content: dict[str, Any] = orjson.loads(self._box(project_id).decrypt(sealed.encode()))
        except (InvalidToken, UnicodeEncodeError) as error:
            raise SealBrokenError from error
        return content

    def _box(self, project_id: str) -> Fernet:
        with self._lock:
            if project_id not in self._boxes:
                self._boxes[project_id] = Fernet(self._key_of(project_id))
            return self._boxes[project_id]
