"""Classification of Postgres errors: a rejected value, an outage, or a session of no more use."""

import psycopg

_VALUE_CLASSES = ("21", "22", "23", "44", "P0")
"""SQLSTATE classes of errors that the values of one statement cause; all others are outages."""

_STALE_SESSION_CLASSES = ("08", "0A", "26", "28", "3D", "57")
_STALE_SESSION_STATES = ("25006", "42P05")
"""Errors after which other sessions of the pool are of no use either.

25006, read only: the server was demoted, and the primary may be behind the same address. 26 and
42P05: see `is_session_shared`. 0A: a prepared statement is older than its table.
"""
_SHARED_SESSION_STATES = ("26000", "42P05")
_DUPLICATE_KEY = "23505"
_CANCELLED = "57014"
_BUSY_STATES = ("55P03", _CANCELLED)


def is_value_error(error: BaseException | None) -> bool:
    """Return True if a statement was rejected for its values: a constraint, a type, a range."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        # The driver raised it: before it sent anything, or because it lost the connection.
        return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)
    return error.sqlstate.startswith(_VALUE_CLASSES)


def is_duplicate_key(error: BaseException | None) -> bool:
    """Return True if a row has the key of another one."""
    return isinstance(error, psycopg.Error) and error.sqlstate == _DUPLICATE_KEY


def is_busy(error: BaseException | None) -> bool:
    """Return True if a statement waited in vain, for a lock or for its own end."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _BUSY_STATES


def is_session_stale(error: BaseException | None) -> bool:
    """Return True if the sessions opened so far should be replaced by new ones."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state is None or state == _CANCELLED:
        return False
    return state.startswith(_STALE_SESSION_CLASSES) or state in _STALE_SESSION_STATES


def is_session_shared(error: BaseException | None) -> bool:
    """Return True if a prepared statement is missing, or there already.

    A pooler that works by transaction, such as PgBouncer, has assigned another server session.
    """
    return isinstance(error, psycopg.Error) and error.sqlstate in _SHARED_SESSION_STATES
