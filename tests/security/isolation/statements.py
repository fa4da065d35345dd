"""Statements of the store, as they reach the driver, and the mutants of them without a filter."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import TextClause, TextualSelect

import models.store

_FILTER = re.compile(r"(?:\w+\.)?project_id = (?:%\(project_id\)s|\w+\.project_id)", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]+")


@dataclass(frozen=True)
class Statement:
    """A statement as the driver gets it."""

    sql: str
    parameters: dict[str, Any]

    @property
    def reach(self) -> str:
        """Scope that it is executed in."""
        return str(self.parameters["statement_reach"])

    @property
    def shape(self) -> str:
        """The words of the statement, without that which sets its reach, to compare it by."""
        return shape_of(self.sql.partition("AS statement_reach))")[2])

    def without_filters(self) -> "Statement":
        """Return the statement without any filter of projects."""
        return Statement(_FILTER.sub("true", self.sql), self.parameters)

    def mutants(self) -> Iterator["Statement"]:
        """Yield the statement without each one of its filters, and without all of them."""
        found = list(_FILTER.finditer(self.sql))
        for one in found:
            sql = f"{self.sql[: one.start()]}true{self.sql[one.end() :]}"
            yield Statement(sql, self.parameters)
        if len(found) > 1:
            yield self.without_filters()


def shape_of(sql: str) -> str:
    """Return the words of a statement; a parameter is one, however it is written."""
    for part, replacement in ((")s", ")"), ("WITH ", ""), ("RECURSIVE ", "")):
        sql = sql.replace(part, replacement)
    return " ".join(_WORD.findall(sql))


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Record every statement on rows that is executed inside the context."""
    statements: list[Statement] = []

    execute = psycopg.Cursor.execute

    def record(cursor: Any, sql: Any, parameters: Any = None, **options: Any) -> Any:
        result = execute(cursor, sql, parameters, **options)
        if "statement_reach" in str(sql):
            statements.append(Statement(sql, dict(parameters)))
        return result

    with patch.object(psycopg.Cursor, "execute", record):
        yield statements


def record_all(calls: Iterable[Callable[[], object]]) -> list[Statement]:
    """Make calls; return the statements of all of them, each one once."""
    with recorded() as statements:
        for call in calls:
            call()
    return list({statement.sql: statement for statement in statements}.values())


def constants() -> dict[str, str]:
    """Return the shapes of the store's statements that name a project, by their names."""
    found = {}
    for module in pkgutil.walk_packages(models.store.__path__, "models.store."):
        for name, value in vars(importlib.import_module(module.name)).items():
            sql = _sql_of(value)
            if sql is not None and "project_id" in sql:
                found[f"{module.name}.{name}"] = shape_of(sql)
    return found


def _sql_of(value: object) -> str | None:
    if isinstance(value, TextualSelect):
        value = value.element
    return value.text if isinstance(value, TextClause) else None
