"""Order of the passes over a schema."""

from typing import Any

LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space of generated JSON: small models would go on with it without end if they could."""

_OPTIONS = "x-guidance"
"""llguidance's own keyword for options."""


class UnenforceableError(Exception):
    """A schema cannot be enforced; the message says which part of it, and why."""


def prepare_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that llguidance is given for a client's schema."""
    if _OPTIONS in schema:
        raise UnenforceableError(f"{_OPTIONS} is not supported")
    return {**schema, _OPTIONS: LAYOUT}
