"""Waiting for what happens on another thread or in another process."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.01


def eventually(look: Callable[[], T], *, within_s: float = 10.0) -> T:
    """The first true value that `look` returns; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := look()):
        assert time.monotonic() < deadline, f"still {value!r} after {within_s} s"
        threading.Event().wait(_POLL_S)
    return value
