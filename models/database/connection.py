"""The connection to Postgres: one pool per process, and the base class of the tables."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import JSON, Enum, create_engine, event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import DeclarativeBase

from models.database.statement_timer import StatementTimer
from models.errors import UnavailableError
from models.responses.status import ResponseStatus

set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)


LIMIT_S = 15.0
"""How long a statement may take, before the database counts as out of reach."""


def _by_value(kind: type[StrEnum]) -> Enum:
    """Store an enum's value as text with a CHECK, so that a new member needs no new type."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


_PLAN_ANEW = text("SET LOCAL plan_cache_mode = force_custom_plan")


class StatementError(Exception):
    """Postgres refused a statement; the message says why, without the values."""


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        # Not JSONB, which forgets the order of keys: a schema's order is that of the output.
        dict[str, Any]: JSON,
        ResponseStatus: _by_value(ResponseStatus),
    }


_FOR_SHORT_STATEMENTS = """
    SELECT set_config('plan_cache_mode', 'force_generic_plan', false),
           set_config('jit', 'off', false)
"""


def _plan_once(connection: psycopg.Connection[Any], _record: object) -> None:
    """Most statements name an id, and one plan fits all values.

    Postgres would plan each anew, through every month's partitions: more work than the statement
    itself. A plan for all values looks expensive, and would be compiled for longer than it runs.
    """
    connection.execute(_FOR_SHORT_STATEMENTS)


def _primary_message(error: DBAPIError) -> str:
    diagnostic = getattr(error.orig, "diag", None)
    return f"{type(error.orig).__name__}: {getattr(diagnostic, 'message_primary', None)}"


class Database:
    """A bounded pool of connections.

    Most of our statements are whole transactions by themselves and run in autocommit: one round
    trip instead of three.
    """

    def __init__(self, url: str, *, pool_size: int = 16, limit_s: float = LIMIT_S) -> None:
        """No statement takes longer than `limit_s`."""
        self._timer = StatementTimer(limit_s)
        self._engine: Engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            # No transaction is left open, so nothing is to be rolled back on the way to the pool.
            pool_reset_on_return=None,
            skip_autocommit_rollback=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # Postgres' clients wait for ever on a peer that is gone without a word.
            connect_args={
                "connect_timeout": 5,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "application_name": "antiphon",
            },
        )
        event.listen(self._engine, "connect", _plan_once)
        self._transactional = self._engine.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A connection for one statement that commits by itself.

        Raises `UnavailableError` when Postgres cannot be reached or went away underway: whether
        the statement took effect is then not known.
        """
        with _translated(), self._engine.connect() as connection, self._limiting(connection):
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection for several statements that take effect together; raises the same."""
        with (
            _translated(),
            self._transactional.connect() as connection,
            self._limiting(connection),
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def search(self) -> Iterator[Connection]:
        """A connection for one statement that is planned for its values; raises the same."""
        with self.transaction() as connection:
            connection.execute(_PLAN_ANEW)
            yield connection

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()
        self._timer.stop()

    def _limiting(self, connection: Connection) -> AbstractContextManager[None]:
        driver: Any = connection.connection.dbapi_connection
        return self._timer.limiting(driver.fileno())


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError) as error:
        raise UnavailableError("The database is out of reach; try again.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError("The database is out of reach; try again.") from error
        # Not chained: the driver's message quotes the row, and logs must not.
        raise StatementError(_primary_message(error)) from None
