"""Repetition of a step in a thread of its own, which outlasts outages."""

import threading
from collections.abc import Callable

from models.outages import OUTAGES, OutageLog


def repeat(step: Callable[[], float], stopping: threading.Event, outages: OutageLog) -> None:
    """Run a step until `stopping` is set; it returns the seconds until the next time.

    After an outage the log says when to try again.
    """
    delay_s = 0.0
    while not stopping.wait(delay_s):
        try:
            delay_s = step()
        except OUTAGES as error:
            delay_s = outages.failed(error)
        else:
            outages.succeeded()
