"""Pool of connections of one role to Postgres, and the sessions that they open."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from models.database.address import sqlalchemy_url
from models.database.cursor import LazyCursor
from models.database.dialect import REACH, ReachDialect
from models.database.sql_states import is_session_shared, is_session_stale
from models.database.statement_timer import StatementTimer
from models.metrics.recorder import RECORDER
from models.metrics.table import DB_POOL_WAIT

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


class ConnectionPool:
    """Bounded pool of connections, each of which is given out with the reach of its statements.

    Most statements are whole transactions and run in autocommit mode: one round trip instead of
    three.
    """

    def __init__(self, url: str, *, size: int, timer: StatementTimer) -> None:
        self._timer = timer
        self._engine: Engine = create_engine(
            sqlalchemy_url(url).set(drivername=ReachDialect.drivername),
            isolation_level="AUTOCOMMIT",
            # No transaction is left open, so a returned connection needs no rollback.
            pool_reset_on_return=None,
            skip_autocommit_rollback=True,
            pool_size=size,
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
    def statement(self, reach: str) -> Iterator[Connection]:
        """Provide a connection each of whose statements is a transaction."""
        with _connect(self._engine) as connection, self._limit(connection):
            connection.info[REACH] = reach
            yield connection

    @contextmanager
    def transaction(self, reach: str) -> Iterator[Connection]:
        """Provide a connection whose statements are one transaction."""
        with (
            _connect(self._transactional) as connection,
            self._limit(connection),
            connection.begin(),
        ):
            connection.info[REACH] = reach
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _begin_session(self, connection: psycopg.Connection[Any], _record: object) -> None:
        _prepare_session(connection)
        connection.cursor_factory = LazyCursor
        # Planning takes longer than most statements: it is done once, and not the first five times.
        connection.prepare_threshold = None if self._is_shared else 0

    def _replace_stale_sessions(self, context: ExceptionContext) -> None:
        """Make SQLAlchemy replace every connection of the pool after certain errors."""
        error = context.original_exception
        self._is_shared |= is_session_shared(error)
        if is_session_stale(error):
            context.is_disconnect = True

    def _limit(self, connection: Connection) -> AbstractContextManager[None]:
        driver: Any = connection.connection.dbapi_connection
        return self._timer.limit(driver.fileno())


def _connect(engine: Engine) -> Connection:
    began = time.monotonic()
    try:
        return engine.connect()
    finally:
        RECORDER.observe(DB_POOL_WAIT, time.monotonic() - began)
