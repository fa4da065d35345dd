"""Reach of a statement: the project whose rows it reads and writes, enforced by Postgres.

The policies of the tables compare `project_id` with the setting `antiphon.project`. It is set by
the statement itself: a parameter is added to it whose type, a domain of the migrations, makes the
setting for the transaction when it is converted. That happens before the statement is planned, so
it costs neither a round trip nor a message, and a pooler that works by transaction cannot separate
the two (ADR 23).
"""

from functools import lru_cache

UPKEEP = "*"
"""All projects: of the tables that workers and maintenance need, and only for their role."""
MANAGEMENT = "@"
"""All projects, of the tables of projects and keys alone."""

_PARAMETER = "statement_reach"
_QUERY = f"reach AS (SELECT CAST(%({_PARAMETER})s AS statement_reach))"
_STARTS = {
    "WITH RECURSIVE ": f"WITH RECURSIVE {_QUERY}, ",
    "WITH ": f"WITH {_QUERY}, ",
    **{verb: f"WITH {_QUERY} {verb}" for verb in ("SELECT ", "INSERT ", "UPDATE ", "DELETE ")},
}
_WITHOUT_ROWS = ("SET ", "DO ")


@lru_cache(maxsize=512)
def with_reach(statement: str) -> str:
    """Return a statement that sets its reach, which `reach_parameters` adds to its parameters."""
    sql = statement.lstrip()
    for start, replacement in _STARTS.items():
        if sql.startswith(start):
            return replacement + sql.removeprefix(start)
    if sql.startswith(_WITHOUT_ROWS):
        return statement
    raise ValueError(f"a statement has to begin with one of {', '.join(_STARTS)}")


def reach_parameters(parameters: dict[str, object], reach: str) -> dict[str, object]:
    """Return the parameters of a statement that sets its reach."""
    return {**parameters, _PARAMETER: reach}
