"""Text forms of values in the dashboard's pages."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import orjson

_NONE = "\N{EN DASH}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def format_json(value: object) -> str:
    """Return a value as JSON with indentation; text that is JSON itself is parsed first."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return str(value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def format_number(value: float | None) -> str:
    """Return a number with its thousands set apart; a dash for None."""
    if value is None:
        return _NONE
    text = f"{value:,.0f}" if isinstance(value, int) or value >= 100 else f"{value:,.1f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def format_duration(seconds: float | None) -> str:
    """Return a duration in one or two units; a dash for None."""
    if seconds is None:
        return _NONE
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"


def format_time(moment: datetime | None) -> str:
    """Return a time in UTC; a dash for None."""
    return _NONE if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_attribute(moment: datetime) -> str:
    """Return a time as the attribute `datetime` has it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def from_unix(seconds: float) -> datetime:
    """Return the time that the API gives as a number."""
    return datetime.fromtimestamp(seconds, UTC)


def is_web_link(url: object) -> bool:
    """Return True for an address that may be a link: no script, and no file."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "as_json": format_json,
        "number": format_number,
        "duration": format_duration,
        "time": format_time,
        "time_attribute": format_attribute,
        "from_unix": from_unix,
        "is_web_link": is_web_link,
    }
)
"""Functions that every template can call, by name."""
