"""Sessions of the dashboard: a signed cookie that stands for an API key.

Redis has the sessions that have begun and not ended, each for half a day. One that it does not
have, because somebody has signed out or it was emptied, is none, whoever holds the cookie. A
session is valid no longer than its key.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import redis
from flask import Request
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from api.access.open_connections import Opener
from models.access.caller import Caller
from models.encryption.vault import SecretVault
from models.errors import InvalidApiKeyError, UnavailableError

COOKIE = "antiphon_session"
PATH = "/dashboard"
"""Path below which browsers send the cookies: never to the API."""
SESSION_S = 12 * 3600
_PURPOSE = "dashboard sessions"
_ID_BYTES = 16
_ID, _KEY = "id", "key"
_LIVE = "antiphon:session:"
"""Beginning of the names, in Redis, of sessions that have not ended."""


class KnownKeys(Protocol):
    """What sessions need of the authentication by API keys."""

    def authenticate(self, header: str | None, address: str) -> Caller:
        """Return the caller that an `Authorization` header stands for."""

    def is_open(self) -> bool:
        """Return True while no key is needed."""

    def of_key(self, key_id: str) -> Caller | None:
        """Return the caller that a key stands for; None if it is not valid."""

    def valid_ids(self, key_ids: Collection[str | None]) -> Collection[str | None]:
        """Return those of some keys that are valid; None stands for none at all."""


class Sessions:
    """Makes sessions for API keys, and finds the callers that they stand for.

    While Redis is away, all of it raises `UnavailableError`: no session counts unseen.
    """

    def __init__(self, authenticator: KnownKeys, vault: SecretVault, client: redis.Redis) -> None:
        self._authenticator = authenticator
        self._vault = vault
        self._client = client

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
        session_id = secrets.token_urlsafe(_ID_BYTES)
        with _within_reach():
            self._client.set(_LIVE + session_id, key_id, ex=SESSION_S)
        return str(_serializer(self._keys()).dumps({_KEY: key_id, _ID: session_id}))

    def end(self, cookie: str) -> None:
        """End a session for all who hold its cookie."""
        if (content := self._read(cookie)) is not None:
            with _within_reach():
                self._client.delete(_LIVE + content[_ID])

    def still_valid(self, openers: Collection[Opener]) -> set[Opener]:
        """Return those openers whose key is valid and whose session has not ended.

        While Redis is away, sessions count as not ended: nothing is streamed from it then.
        """
        valid = self._authenticator.valid_ids({opener.key_id for opener in openers})
        ended = self._ended({opener.session_id for opener in openers if opener.session_id})
        return {
            opener
            for opener in openers
            if opener.key_id in valid and opener.session_id not in ended
        }

    def _ended(self, session_ids: Collection[str]) -> set[str]:
        ordered = list(session_ids)
        if not ordered:
            return set()
        try:
            live = self._client.mget([_LIVE + session_id for session_id in ordered])
        except redis.RedisError:
            return set()
        return {each for each, key_id in zip(ordered, live, strict=True) if key_id is None}

    def _find(self, cookie: str) -> Caller | None:
        content = self._read(cookie)
        if content is None:
            return None
        with _within_reach():
            is_live = self._client.exists(_LIVE + content[_ID])
        caller = self._authenticator.of_key(content[_KEY]) if is_live else None
        return None if caller is None else replace(caller, session_id=content[_ID])

    def _read(self, cookie: str) -> Mapping[str, str] | None:
        """Return the content of a cookie that was made here; None of any other."""
        keys = self._keys()
        if not keys:
            return None
        try:
            content: Mapping[str, str] = _serializer(keys).loads(cookie, max_age=SESSION_S)
        except BadData:
            return None
        # Earlier versions made cookies without an id.
        return content if _ID in content else None

    def _keys(self) -> list[bytes]:
        """Return the keys that sign, oldest first; the last one signs new sessions."""
        return [derived.key for derived in reversed(self._vault.derive(_PURPOSE))]


@contextmanager
def _within_reach() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        message = "Redis, which has the sessions of the dashboard, is out of reach; try again."
        raise UnavailableError(message) from error


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
