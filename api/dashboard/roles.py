"""Roles of the people who use the dashboard, which the scopes of their keys make."""

from enum import StrEnum

from models.access.caller import Caller
from models.access.scopes import Scope


class Role(StrEnum):
    """What a person may do in the dashboard, as its pages name it."""

    READ_ONLY = "read-only"
    OPERATOR = "operator"
    ADMIN = "admin"


def role_of(caller: Caller) -> Role:
    """Return the role that a caller's scopes make."""
    if Scope.ADMIN in caller.scopes:
        return Role.ADMIN
    return Role.OPERATOR if Scope.RESPONSES_WRITE in caller.scopes else Role.READ_ONLY
