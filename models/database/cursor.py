"""Cursor that describes the columns of its results only to those who look at them."""

from collections.abc import Sequence
from typing import Any, overload

import psycopg
from psycopg import Column


class Columns(Sequence[Column]):
    """Description of a result (PEP 249), made when it is looked at.

    SQLAlchemy asks for the description of every result, and looks at the first one of each
    statement alone. To make one takes as long as to read the row itself.
    """

    __slots__ = ("_columns", "_cursor")

    def __init__(self, cursor: "LazyCursor") -> None:
        self._cursor = cursor
        self._columns: list[Column] | None = None

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> Column: ...

    @overload
    def __getitem__(self, index: slice) -> list[Column]: ...

    def __getitem__(self, index: int | slice) -> Column | list[Column]:
        return self._all()[index]

    def _all(self) -> list[Column]:
        if self._columns is None:
            self._columns = self._cursor.describe()
        return self._columns


class LazyCursor(psycopg.Cursor[Any]):
    """Cursor of psycopg whose `description` costs nothing until somebody reads it."""

    @property
    def description(self) -> Any:
        """Columns of the current result; None if it has no rows and can have none."""
        has_rows = self.rownumber is not None
        return Columns(self) if has_rows else super().description

    def describe(self) -> list[Column]:
        """Return the columns of the current result, which has to be one of rows."""
        columns = super().description
        assert columns is not None
        return columns
