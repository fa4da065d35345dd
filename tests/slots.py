"""Time in the windows of limits: it passes when a test moves their slots into the past."""

import re
from typing import Any

import redis

SLOTS_OF_MINUTE = 121
"""Slots after which nothing of a window is left."""


def age(client: redis.Redis, num_slots: int, project_id: str) -> None:
    """Let half a second pass for each slot."""
    key = f"antiphon:limits:{{{project_id}}}"
    entries: Any = client.hgetall(key)
    moved = {}
    for name, value in entries.items():
        if numbered := re.fullmatch(rb"([rio])(\d+)", name):
            moved[numbered[1] + b"%d" % (int(numbered[2]) - num_slots)] = value
        elif name in (b"first", b"rl", b"il", b"ol"):
            moved[name] = b"%d" % (int(value) - num_slots)
        else:
            moved[name] = value
    client.delete(key)
    if moved:
        client.hset(key, mapping=moved)
