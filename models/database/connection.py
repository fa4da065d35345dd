"""Connections to Postgres: one pool per process, and the base class of the tables."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import JSON, Enum, create_engine, event, text
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import DeclarativeBase

from models.database.address import sqlalchemy_url
from models.database.sql_states import (
    is_busy,
    is_duplicate_key,
    is_session_shared,
    is_session_stale,
    is_value_error,
)
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


_PLAN_ANEW = text("SET LOCAL plan_cache_mode = force_custom_plan")


class Base(DeclarativeBase):
    """Declarative base of all tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        # Not JSONB, which loses the order of keys: a JSON schema's order is that of the output.
        dict[str, Any]: JSON,
        ResponseStatus: _by_value(ResponseStatus),
    }


_SESSION = """
    SELECT set_config('plan_cache_mode', 'force_generic_plan', false),
           set_config('jit', 'off', false),
           set_config('lock_timeout', '5s', false),
           set_config('statement_timeout', '15s', false)
"""


def _prepare_session(connection: psycopg.Connection[Any]) -> None:
    """Set the limits of a new connection; use generic plans, without JIT.

    By its own limits a statement ends on the server, too: one that was only cut off would occupy a
    backend as long as it waits for a lock. They are the same for all pools, since a pooler that
    works by transaction gives the session of one to another.

    Most statements select by id, so one plan fits all values. By default Postgres would plan each
    execution again, over the partitions of every month, which costs more than the statement itself.
    A generic plan has a high estimated cost, so JIT would compile it for longer than it runs.
    """
    connection.execute(_SESSION)


def _primary_message(error: BaseException | None) -> str:
    diagnostic = getattr(error, "diag", None)
    return f"{type(error).__name__}: {getattr(diagnostic, 'message_primary', None)}"


class Database:
    """Bounded pool of database connections.

    Most statements are whole transactions and run in autocommit mode: one round trip instead of
    three.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 16,
        limit_s: float = LIMIT_S,
        vault: SecretVault | None = None,
    ) -> None:
        """Create an empty pool; a statement that takes longer than `limit_s` seconds fails.

        `vault` encrypts the secrets that the tables hold.
        """
        self.vault = vault or SecretVault()
        self._timer = StatementTimer(limit_s)
        self._engine: Engine = create_engine(
            sqlalchemy_url(url),
            isolation_level="AUTOCOMMIT",
            # No transaction is left open, so a returned connection needs no rollback.
            pool_reset_on_return=None,
            skip_autocommit_rollback=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # By default libpq waits forever for a peer that has vanished.
            connect_args={
                "connect_timeout": 5,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "application_name": "antiphon",
            },
        )
        self._is_shared = False
        """True if a pooler shares sessions, so that no prepared statement can be found again."""
        event.listen(self._engine, "connect", self._begin_session)
        event.listen(self._engine, "handle_error", self._replace_stale_sessions)
        self._transactional = self._engine.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def statement(self, project_id: str) -> Iterator[Connection]:
        """Provide a connection for one statement on a project, which is committed automatically.

        Raises `UnavailableError` if Postgres cannot be reached or refuses to work, or if the
        connection is lost; it is then unknown if the statement took effect. Raises `StatementError`
        if Postgres rejects the statement for its values.
        """
        with _translate_errors(), self._engine.connect() as connection, self._limit(connection):
            yield connection

    @contextmanager
    def management(self) -> Iterator[Connection]:
        """Provide a connection for one statement on projects and keys; raises as `statement` does.

        Such a statement finds them by other means than their project, or is about all of them.
        """
        with self.statement("") as connection:
            yield connection

    @contextmanager
    def upkeep(self) -> Iterator[Connection]:
        """Provide a connection for one statement over all projects; raises as `statement` does.

        Only workers and maintenance make such statements.
        """
        with self.statement("") as connection:
            yield connection

    @contextmanager
    def transaction(self, project_id: str) -> Iterator[Connection]:
        """Provide a connection for an atomic series of statements; raises as `statement` does."""
        with (
            _translate_errors(),
            self._transactional.connect() as connection,
            self._limit(connection),
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def search(self, project_id: str) -> Iterator[Connection]:
        """Provide a connection for one statement with a custom plan; raises as `statement` does."""
        with self.transaction(project_id) as connection:
            connection.execute(_PLAN_ANEW)
            yield connection

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()
        self._timer.stop()

    def _begin_session(self, connection: psycopg.Connection[Any], _record: object) -> None:
        if self._is_shared:
            connection.prepare_threshold = None
        _prepare_session(connection)

    def _replace_stale_sessions(self, context: ExceptionContext) -> None:
        """Make SQLAlchemy replace every connection of the pool after certain errors."""
        error = context.original_exception
        self._is_shared |= is_session_shared(error)
        if is_session_stale(error):
            context.is_disconnect = True

    def _limit(self, connection: Connection) -> AbstractContextManager[None]:
        driver: Any = connection.connection.dbapi_connection
        return self._timer.limit(driver.fileno())


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
