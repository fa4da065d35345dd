"""Memo of a value that is computed from a request, so that it is computed once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import is_
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Memo:
    """Latest result of one function; any two are equal, as requests with and without one are."""

    _latest: tuple[tuple[object, ...], Any] | None = field(default=None, compare=False, repr=False)

    def get(self, inputs: tuple[object, ...], compute: Callable[[], T]) -> T:
        """Return the result for these very inputs, whose number is fixed; compute it if need be.

        The inputs are compared by identity, so that copies of a request may share its memo. They
        must not be changed in place.
        """
        latest = self._latest
        if latest is None or not all(map(is_, latest[0], inputs)):
            latest = self._latest = (inputs, compute())
        result: T = latest[1]
        return result
