"""Caller: the project and the rights that one request acts with."""

from dataclasses import dataclass

from models.access.projects import ProjectRecord
from models.access.scopes import ALL_SCOPES, Scope
from models.errors import InsufficientPermissionsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Project of a request, with the key and the scopes that it was sent with."""

    project: ProjectRecord
    key_id: str | None = None
    """None while the server is open, and needs no key."""
    session_id: str | None = None
    """Session of the dashboard that stands for the key; None for a key in a header."""
    scopes: frozenset[Scope] = ALL_SCOPES

    @property
    def project_id(self) -> str:
        """Id of the project."""
        return self.project.project_id

    def require(self, scope: Scope, *, param: str | None = None) -> None:
        """Raise `InsufficientPermissionsError` unless the key has the scope that `param` needs."""
        if scope not in self.scopes:
            raise InsufficientPermissionsError(scope, param=param)
