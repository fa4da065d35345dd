"""Sessions of the dashboard: a signed cookie that stands for an API key.

Nothing is stored: a session is valid as long as its key is, and for half a day.
"""

import secrets
from collections.abc import Sequence
from typing import Protocol

from flask import Request
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from models.access.caller import Caller
from models.encryption.vault import SecretVault
from models.errors import InvalidApiKeyError

COOKIE = "antiphon_session"
PATH = "/dashboard"
"""Path below which browsers send the cookies: never to the API."""
SESSION_S = 12 * 3600
_PURPOSE = "dashboard sessions"
_NONCE_BYTES = 16


class KnownKeys(Protocol):
    """What sessions need of the authentication by API keys."""

    def authenticate(self, header: str | None, address: str) -> Caller:
        """Return the caller that an `Authorization` header stands for."""

    def is_open(self) -> bool:
        """Return True while no key is needed."""

    def of_key(self, key_id: str) -> Caller | None:
        """Return the caller that a key stands for; None if it is not valid."""


class Sessions:
    """Makes sessions for API keys, and finds the callers that they stand for."""

    def __init__(self, authenticator: KnownKeys, vault: SecretVault) -> None:
        self._authenticator = authenticator
        self._vault = vault

    def authenticate(self, request: Request, address: str) -> Caller:
        """Return the caller of a request for the dashboard.

        A header `Authorization` counts before a session. Raises `InvalidApiKeyError` without either
        of them, unless the server is open; that is no guess, and not counted as one.
        """
        header = request.headers.get("Authorization")
        if header is not None or self._authenticator.is_open():
            return self._authenticator.authenticate(header, address)
        caller = self._find(request.cookies.get(COOKIE, ""))
        if caller is None:
            raise InvalidApiKeyError
        return caller

    def begin(self, key_id: str) -> str:
        """Return the cookie of a new session for a key."""
        content = {"key": key_id, "nonce": secrets.token_urlsafe(_NONCE_BYTES)}
        return str(_serializer(self._keys()).dumps(content))

    def _find(self, cookie: str) -> Caller | None:
        keys = self._keys()
        if not keys:
            return None
        try:
            content = _serializer(keys).loads(cookie, max_age=SESSION_S)
        except BadData:
            return None
        return self._authenticator.of_key(content["key"])

    def _keys(self) -> list[bytes]:
        """Return the keys that sign, oldest first; the last one signs new sessions."""
        return [derived.key for derived in reversed(self._vault.derive(_PURPOSE))]


def set_cookie(response: Response, name: str, value: str, *, is_secure: bool) -> None:
    """Set a cookie that scripts cannot read and that no other site's pages send."""
    response.set_cookie(
        name,
        value,
        max_age=SESSION_S,
        path=PATH,
        secure=is_secure,
        httponly=True,
        samesite="Strict",
    )


def _serializer(keys: Sequence[bytes]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(list(keys), salt=_PURPOSE)
