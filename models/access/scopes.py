"""Scopes of API keys: what a key may be used for."""

from enum import StrEnum


class Scope(StrEnum):
    """One right of an API key; the value is its name in commands, errors and the database."""

    RESPONSES_READ = "responses:read"
    RESPONSES_WRITE = "responses:write"
    CONVERSATIONS = "conversations"
    WEBHOOKS = "webhooks"
    FILES = "files"
    METRICS = "metrics"
    DASHBOARD = "dashboard"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)
DEFAULT_SCOPES = frozenset(
    {
        Scope.RESPONSES_READ,
        Scope.RESPONSES_WRITE,
        Scope.CONVERSATIONS,
        Scope.WEBHOOKS,
        Scope.FILES,
    }
)
"""Scopes of a key for which none are named: those that a client of the API needs."""
