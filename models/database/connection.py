"""Access to Postgres: statements on one project or on all, and the base class of the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import JSON, Enum, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import DeclarativeBase

from models.database.pool import ConnectionPool
from models.database.reach import MANAGEMENT, UPKEEP
from models.database.refusal import UpkeepRefusedError
from models.database.sql_states import is_busy, is_duplicate_key, is_value_error
from models.database.statement_timer import StatementTimer
from models.encryption.vault import SecretVault
from models.errors import DatabaseBusyError, UnavailableError
from models.outages import DuplicateKeyError, StatementError
from models.responses.status import ResponseStatus

set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)


LIMIT_S = 15.0
"""Seconds that a statement may take before the database counts as unreachable."""


def _by_value(kind: type[StrEnum]) -> Enum:
    """Return a column type that stores enum values as text, so that a new member needs no DDL."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


_JOIN_BY_HASH = text("SET LOCAL enable_nestloop = off")
_PLAN_ANEW = text("SET LOCAL plan_cache_mode = force_custom_plan")


class Base(DeclarativeBase):
    """Declarative base of all tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        # Not JSONB, which loses the order of keys: a JSON schema's order is that of the output.
        dict[str, Any]: JSON,
        ResponseStatus: _by_value(ResponseStatus),
    }


_MAY_UPKEEP = "may_upkeep"
_FIND_ROLE = text("SELECT current_user, may_upkeep()")


def _primary_message(error: BaseException | None) -> str:
    diagnostic = getattr(error, "diag", None)
    return f"{type(error).__name__}: {getattr(diagnostic, 'message_primary', None)}"


class Database:
    """Access to one database, with a pool of connections for each of one or two roles.

    A process that has the address of a second role, which may work over all projects, does that
    with it; everything else is done by the first, which sees one project at a time.
    """

    def __init__(
        self,
        url: str,
        *,
        upkeep_url: str | None = None,
        pool_size: int = 16,
        limit_s: float = LIMIT_S,
        vault: SecretVault | None = None,
    ) -> None:
        """Create empty pools; a statement that takes longer than `limit_s` seconds fails.

        `vault` encrypts the secrets that the tables hold.
        """
        self.vault = vault or SecretVault()
        self._timer = StatementTimer(limit_s)
        self._pool = self._upkeep_pool = ConnectionPool(url, size=pool_size, timer=self._timer)
        if upkeep_url not in (None, url):
            size = max(1, pool_size // 2)
            self._upkeep_pool = ConnectionPool(upkeep_url, size=size, timer=self._timer)

    @contextmanager
    def statement(self, project_id: str) -> Iterator[Connection]:
        """Provide a connection for one statement on a project, which is committed automatically.

        Raises `UnavailableError` if Postgres cannot be reached or refuses to work, or if the
        connection is lost; it is then unknown if the statement took effect. Raises `StatementError`
        if Postgres rejects the statement for its values.
        """
        with _translate_errors(), self._pool.statement(project_id) as connection:
            yield connection

    @contextmanager
    def management(self) -> Iterator[Connection]:
        """Provide a connection for one statement on projects and keys; raises as `statement` does.

        Such a statement finds them by other means than their project, or is about all of them.
        """
        with _translate_errors(), self._pool.statement(MANAGEMENT) as connection:
            yield connection

    @contextmanager
    def upkeep(self) -> Iterator[Connection]:
        """Provide a connection for one statement over all projects; raises as `statement` does.

        Only workers and maintenance make such statements. Raises `UpkeepRefusedError` if their role
        sees one project at a time: rows that it does not see must not pass for deleted ones.
        """
        with _translate_errors(), self._upkeep_pool.statement(UPKEEP) as connection:
            if not connection.info.get(_MAY_UPKEEP):
                _check_role(connection)
            yield connection

    @contextmanager
    def upkeep_join(self) -> Iterator[Connection]:
        """Provide a connection for such a statement that joins many rows; raises likewise.

        Without statistics, of tables that are new, Postgres would join them by nested loops.
        """
        with _translate_errors(), self._upkeep_pool.transaction(UPKEEP) as connection:
            if not connection.info.get(_MAY_UPKEEP):
                _check_role(connection)
            connection.execute(_JOIN_BY_HASH)
            yield connection

    @contextmanager
    def transaction(self, project_id: str) -> Iterator[Connection]:
        """Provide a connection for an atomic series of statements; raises as `statement` does."""
        with _translate_errors(), self._pool.transaction(project_id) as connection:
            yield connection

    @contextmanager
    def search(self, project_id: str) -> Iterator[Connection]:
        """Provide a connection for one statement with a custom plan; raises as `statement` does."""
        with self.transaction(project_id) as connection:
            connection.execute(_PLAN_ANEW)
            yield connection

    def check_upkeep(self) -> None:
        """Raise `UpkeepRefusedError` if the role for upkeep sees one project at a time."""
        with self.upkeep():
            pass

    def close(self) -> None:
        """Close every pooled connection."""
        for pool in {self._pool, self._upkeep_pool}:
            pool.close()
        self._timer.stop()


def _check_role(connection: Connection) -> None:
    """Check, once in a session, that its role may work for all projects."""
    role, may_upkeep = connection.execute(_FIND_ROLE).one()
    if not may_upkeep:
        raise UpkeepRefusedError(role)
    connection.info[_MAY_UPKEEP] = True


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate the driver's errors to `UnavailableError` and `StatementError`."""
    try:
        yield
    except (DBAPIError, TimeoutError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if is_value_error(cause):
            # Not chained: the driver's message quotes the row, which must not reach the logs.
            kind = DuplicateKeyError if is_duplicate_key(cause) else StatementError
            raise kind(_primary_message(cause)) from None
        if is_busy(cause):
            raise DatabaseBusyError from cause
        raise UnavailableError("The database is out of reach; try again.") from cause
