"""Polling for conditions that another thread or process brings about."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 90.0
"""Seconds that a test waits for what must happen; far more than it takes, so that a slow machine
fails no test. A test about a delay rules the alternative out instead: it lets that take longer."""

_POLL_S = 0.01


def eventually(look: Callable[[], T | None], *, within_s: float = PATIENCE_S) -> T:
    """Poll `look` until it returns a true value, and return that; fail after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not (value := look()):
        assert time.monotonic() < deadline, f"still {value!r} after {within_s} s"
        threading.Event().wait(_POLL_S)
    return value
