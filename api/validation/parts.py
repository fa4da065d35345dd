"""Content parts of messages and of the outputs of calls, with their names in errors."""

from collections.abc import Iterator, Sequence
from typing import Any


def iterate_parts(
    items: Sequence[dict[str, Any]], field: str = "input"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the content parts of messages and of function call outputs, with their paths."""
    for position, item in enumerate(items):
        for name in ("content", "output"):
            parts = item.get(name)
            if isinstance(parts, list):
                for number, part in enumerate(parts):
                    yield f"{field}[{position}].{name}[{number}]", part
