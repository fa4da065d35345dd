"""Authentication by API keys, with a short cache of keys and projects in each process."""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from cachetools import LRUCache, TTLCache

from api.access.failed_attempts import FailedAttempts
from models.access.caller import Caller
from models.access.digests import digest_of, is_current, matches
from models.access.projects import ProjectLimits, ProjectRecord
from models.access.tokens import Token, parse_token
from models.errors import InvalidApiKeyError, UnavailableError
from models.store.access.api_keys import ApiKeyRecord, ApiKeys
from models.store.access.projects import Projects
from models.tables import DEFAULT_PROJECT

CACHE_S = 4.0
"""Seconds for which a key and its project are taken as they were found.

A revocation must hold within five seconds.
"""
_MAX_KEYS = 10_000
_SCHEME = "bearer"
_NO_LIMITS = ProjectLimits()


class Authenticator:
    """Finds the caller of each request."""

    def __init__(
        self,
        keys: ApiKeys,
        projects: Projects,
        *,
        cache_s: float = CACHE_S,
        may_be_open: bool = True,
        attempts: FailedAttempts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the authenticator; a key that was found is looked up again after `cache_s`.

        Unless it `may_be_open`, requests need a key even while none exists.
        """
        self._keys = keys
        self._projects = projects
        self._attempts = attempts or FailedAttempts(clock=clock)
        self._lock = threading.Lock()
        self._found: TTLCache[str, tuple[ApiKeyRecord, Caller]] = TTLCache(
            _MAX_KEYS, cache_s, timer=clock
        )
        self._projects_found: TTLCache[str, ProjectRecord] = TTLCache(
            _MAX_KEYS, cache_s, timer=clock
        )
        # As they were last found, for limits, which need not know of revocations.
        self._known: LRUCache[str, tuple[ApiKeyRecord, Caller]] = LRUCache(_MAX_KEYS)
        self._known_projects: LRUCache[str, ProjectRecord] = LRUCache(_MAX_KEYS)
        self._clock, self._cache_s = clock, cache_s
        self._open: tuple[Caller, float] | None = None
        """Caller of an open server, and the time until which it is taken as it was found."""
        self._open_before: Caller | None = None
        """Caller of an open server as it was last known; None once a key exists."""
        self._needs_key = not may_be_open

    def authenticate(self, header: str | None, address: str) -> Caller:
        """Return the caller that an `Authorization` header stands for.

        While no key exists, every request acts for the default project. Raises
        `InvalidApiKeyError`, with the same message whatever the reason, or
        `TooManyFailedAttemptsError` if too many of them came from an address.
        """
        if (caller := self._open_caller()) is not None:
            return caller
        token = _token_of(header)
        caller = None if token is None else self._find(token, address)
        if caller is None:
            self._attempts.check(address)
            self._attempts.note(address)
            raise InvalidApiKeyError
        return caller

    def renew(self, caller: Caller) -> Caller:
        """Return the caller as it is now, whose project may have changed.

        Raises `InvalidApiKeyError` if its key is valid no longer.
        """
        key_id = caller.key_id
        renewed = self._open_caller() if key_id is None else self.of_key(key_id)
        if renewed is None:
            raise InvalidApiKeyError
        return renewed

    def of_key(self, key_id: str) -> Caller | None:
        """Return the caller that a key stands for, as it is now; None if it is not valid."""
        found = self._find_key(key_id)
        return None if found is None else found[1]

    def recognise(self, header: str | None) -> Caller | None:
        """Return whom limits count a request for, without asking the store; None if unknown.

        The key may have been revoked meanwhile, but its secret is right: nobody can use up what
        another may do by naming its id.
        """
        token = _token_of(header) if self._needs_key else None
        if token is None:
            return None
        with self._lock:
            found = self._known.get(token.id)
        return self._match(token, found)

    def knows_limits(self) -> bool:
        """Return True if a project that was found has any limit."""
        with self._lock:
            projects = list(self._known_projects.values())
        return any(project.limits != _NO_LIMITS for project in projects)

    def recent_project(self, project_id: str) -> ProjectRecord | None:
        """Return a project if it was found within the last seconds."""
        with self._lock:
            return self._projects_found.get(project_id)

    def known_project(self, project_id: str) -> ProjectRecord | None:
        """Return a project as it was last found, without asking the store; None if never."""
        with self._lock:
            return self._known_projects.get(project_id)

    def is_open(self) -> bool:
        """Return True while no key exists; asks the store if that is not known any more."""
        return self._open_caller() is not None

    def valid_ids(self, key_ids: Collection[str | None]) -> set[str | None]:
        """Return those of the ids whose keys are valid; None is valid while the server is open."""
        valid: set[str | None] = set()
        if None in key_ids and self.is_open():
            valid.add(None)
        named = [key_id for key_id in key_ids if key_id is not None]
        return valid | self._keys.valid(named) if named else valid

    def forget(self) -> None:
        """Look everything up anew from now on."""
        with self._lock:
            self._found.clear()
            self._projects_found.clear()
            self._open = None

    def _open_caller(self) -> Caller | None:
        """Return the caller of an open server; None if requests need a key.

        Keys are never deleted: once there is one, requests need one for ever. While the database is
        away, an open server stays open.
        """
        if self._needs_key:
            return None
        found = self._open
        if found is not None and self._clock() < found[1]:
            return found[0]
        try:
            caller = self._look_up_open()
        except UnavailableError:
            if self._open_before is None:
                raise
            caller = self._open_before
        self._needs_key = caller is None
        with self._lock:
            self._open_before = caller
            self._open = None if caller is None else (caller, self._clock() + self._cache_s)
        return caller

    def _look_up_open(self) -> Caller | None:
        if self._keys.any_exists():
            return None
        project = self._projects.get(DEFAULT_PROJECT)
        assert project is not None, "migrations create the default project"
        self._keep_project(project)
        return Caller(project=project)

    def _find(self, token: Token, address: str) -> Caller | None:
        found = self._find_key(token.id, address)
        return self._match(token, found)

    def _match(self, token: Token, found: tuple[ApiKeyRecord, Caller] | None) -> Caller | None:
        if found is None or not matches(token, found[0].digest, self._keys.vault):
            return None
        if not is_current(found[0].digest, self._keys.vault):
            self._renew(token, *found)
        return found[1]

    def _renew(self, token: Token, key: ApiKeyRecord, caller: Caller) -> None:
        """Make the digest of a key anew, with the newest pepper: only its owner has its secret."""
        digest = digest_of(token, self._keys.vault)
        with self._lock:
            self._found[key.id] = replace(key, digest=digest), caller
        # Later requests try again.
        with suppress(UnavailableError):
            self._keys.renew_digest(key, digest)

    def _find_key(
        self, key_id: str, address: str | None = None
    ) -> tuple[ApiKeyRecord, Caller] | None:
        """Return a valid key; it is not looked up for an address with too many failed attempts."""
        with self._lock:
            found = self._found.get(key_id)
        if found is None:
            if address is not None:
                self._attempts.check(address)
            found = self._look_up(key_id)
        return found

    def _look_up(self, key_id: str) -> tuple[ApiKeyRecord, Caller] | None:
        key = self._keys.find(key_id)
        project = self._projects.get(key.project_id) if key else None
        if key is None or project is None:
            return None
        found = key, Caller(project=project, key_id=key.id, scopes=key.scopes)
        with self._lock:
            self._found[key_id] = self._known[key_id] = found
        self._keep_project(project)
        return found

    def _keep_project(self, project: ProjectRecord) -> None:
        with self._lock:
            self._projects_found[project.project_id] = project
            self._known_projects[project.project_id] = project


def _token_of(header: str | None) -> Token | None:
    scheme, _, text = (header or "").strip().partition(" ")
    return parse_token(text.strip()) if scheme.lower() == _SCHEME else None
