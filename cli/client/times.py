"""Times that people write: dates, times and ages."""

import re
import time
from datetime import UTC, datetime

from cli.client.output import WRONG_USE, fail

_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FORMS = "2026-01-31, 2026-01-31T12:00Z, or an age: 30m, 24h, 7d."


def parse_time(text: str, option: str) -> int:
    """Return the Unix time of a date, a time or an age; exit with code 2 if it is none of them."""
    if age := _AGE.fullmatch(text):
        return max(0, int(time.time()) - int(age[1]) * _UNITS[age[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text}: it must be a date, a time, or an age such as 24h", code=WRONG_USE)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def format_age(seconds: float) -> str:
    """Return a duration as people read it: 5s, 12m, 3h, 4d."""
    amount = max(0, int(seconds))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if amount >= 2 * size:
            return f"{amount // size}{unit}"
    return f"{amount}s"
