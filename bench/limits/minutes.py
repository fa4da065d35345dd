"""Requests that a limit lets through in any minute, of several processes of the API."""

import asyncio
import time
from bisect import bisect_left

import orjson

from bench.limits.requests import Address, Connection, post

_BODY = orjson.dumps({"input": "Hello.", "background": True})
_MINUTE_S = 60.0
_OVERLOAD = 1.5
"""Requests that are sent for each that may be granted."""


def granted_per_minute(
    address: Address, key: str, *, limit: int, num_connections: int, seconds: float
) -> tuple[int, int]:
    """Return the least and the most requests that were granted in any minute of the run.

    The first minute, in which the window fills, counts for the most alone.
    """
    granted = asyncio.run(_press(address, key, limit, num_connections, seconds))
    most = max(_num_within(granted, at, at + _MINUTE_S) for at in granted)
    ends = [at for at in granted if at - _MINUTE_S >= granted[0] + 1]
    return min(_num_within(granted, at - _MINUTE_S, at) for at in ends), most


def _num_within(granted: list[float], start: float, end: float) -> int:
    return bisect_left(granted, end) - bisect_left(granted, start)


async def _press(
    address: Address, key: str, limit: int, num_connections: int, seconds: float
) -> list[float]:
    """Ask at a steady rate; return the times of the answers that grant."""
    granted: list[float] = []
    interval_s = _MINUTE_S / (limit * _OVERLOAD) * num_connections
    until = time.monotonic() + seconds

    async def ask(number: int) -> None:
        connection = Connection(address)
        due_at = time.monotonic() + interval_s * number / num_connections
        while due_at < until:
            await asyncio.sleep(due_at - time.monotonic())
            answer = await connection.send(post(key, _BODY))
            if answer.status == 200:
                granted.append(answer.at)
            due_at += interval_s
        connection.close()

    await asyncio.gather(*map(ask, range(num_connections)))
    return sorted(granted)
