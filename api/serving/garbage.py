"""Full garbage collections at intervals, so that open streams do not make them frequent."""

import gc

from models.background_thread import BackgroundThread

FULL_S = 120.0
"""Seconds between two full collections: beside 5,000 streams, each takes a quarter of a second."""
_NEVER = 1 << 30


def collect_rarely(interval_s: float = FULL_S) -> BackgroundThread:
    """Exempt all objects from collection, and collect those that are to come in full by a thread.

    By default, the interpreter collects in full whenever there are a quarter more objects, during
    which no thread runs. Young objects are collected as often as before.
    """
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    thread = BackgroundThread("garbage", gc.collect, interval_s=interval_s)
    thread.start()
    return thread
