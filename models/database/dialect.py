"""Dialect of SQLAlchemy whose statements set their reach."""

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Connection

from models.database.reach import reach_parameters, with_reach

REACH = "reach"
"""Key of the reach in `Connection.info`."""


class ReachDialect(PGDialect_psycopg):
    """The dialect of psycopg; each statement sets the reach of the connection that executes it.

    A listener for `before_cursor_execute` would do the same, and make SQLAlchemy look for listeners
    of a dozen other events with every statement.
    """

    drivername = "postgresql+antiphon"
    supports_statement_cache = True

    _is_initialized = False

    def initialize(self, connection: Connection) -> None:
        """Ask a server that is new to the engine about itself: no table of ours is read."""
        super().initialize(connection)  # type: ignore[no-untyped-call]
        self._is_initialized = True

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Execute a statement within the reach of its connection."""
        if self._is_initialized:
            reach = context.root_connection.info[REACH]
            statement = with_reach(statement)
            parameters = reach_parameters(parameters or {}, reach)
        cursor.execute(statement, parameters)


registry.register("postgresql.antiphon", __name__, ReachDialect.__name__)
