"""First look at each request, in the event loop, as soon as its head has arrived.

It asks nobody: what it needs, this process remembers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import h11

from api.http.forwarded import Source, TrustedProxies, client_network
from models.access.caller import Caller
from models.access.projects import ProjectRecord
from models.errors import AppError

_CREATING = frozenset({b"/v1/responses", b"/v1/responses/compact", b"/v1/chat/completions"})
_IDEMPOTENCY = b"idempotency-key"
"""A repeated request gets the answer of the first, whatever else is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a request by its head."""

    source: Source
    key_id: str | None
    """Key of the request, if it is known and its secret is right."""
    refusal: AppError | None = None

    @property
    def client(self) -> str:
        """Client that limits count the request for: its key, or else its address."""
        return self.key_id or client_network(self.source.client)


class KnownCallers(Protocol):
    """What this process remembers of keys and projects."""

    def recognise(self, header: str | None) -> Caller | None:
        """Return whom limits count a request for by its `Authorization`; None if unknown."""

    def recent_project(self, project_id: str) -> ProjectRecord | None:
        """Return a project if it was found within the last seconds."""


class Door:
    """Recognises the clients of requests, and refuses what would be refused anyway."""

    def __init__(
        self,
        proxies: TrustedProxies,
        callers: KnownCallers,
        check: Callable[[ProjectRecord], None],
    ) -> None:
        """Create the door; `check` raises an `AppError` if a project may create nothing now."""
        self.proxies = proxies
        self._callers = callers
        self._check = check

    def enter(self, peer: str, request: h11.Request) -> Entry:
        """Look at the head of a request that a peer has sent."""
        source = self.proxies.source(peer, request.headers)
        headers = dict(request.headers)
        header = headers.get(b"authorization")
        caller = self._callers.recognise(None if header is None else header.decode("latin-1"))
        if caller is None:
            return Entry(source=source, key_id=None)
        # Once it is not recent, a request finds out whether the limits are still the same.
        project = self._callers.recent_project(caller.project_id)
        try:
            if project is not None and _creates(request) and _IDEMPOTENCY not in headers:
                self._check(project)
        except AppError as error:
            return Entry(source=source, key_id=caller.key_id, refusal=error)
        return Entry(source=source, key_id=caller.key_id)


def _creates(request: h11.Request) -> bool:
    return request.method == b"POST" and request.target.partition(b"?")[0] in _CREATING
