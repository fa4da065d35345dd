"""What keys and limits add to a POST: two servers in turn, one open, one with keys and limits."""

import asyncio
import time
from collections.abc import Mapping

import orjson

from bench.limits.requests import Address, Connection, post
from bench.report import Measure, percentile

_BODY = orjson.dumps({"input": "Hello.", "background": True, "max_output_tokens": 4})


def measure_cost(
    targets: Mapping[str, tuple[Address, str]], *, rounds: int, num_posts: int
) -> list[Measure]:
    """Return the median latency of POSTs on one connection, by the name of the target.

    A target is an address and a key, empty for none. The targets take turns.
    """
    medians: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(rounds):
        names = list(targets)
        for name in names if number % 2 else reversed(names):
            latencies = asyncio.run(_post_in_turn(*targets[name], num_posts))
            medians[name].append(percentile(latencies, 50) * 1000)
    return [
        Measure(name=f"POST p50 on one connection, {name}, ms", rounds=values)
        for name, values in medians.items()
    ]


async def _post_in_turn(address: Address, key: str, num_posts: int) -> list[float]:
    connection, latencies = Connection(address), []
    for _ in range(num_posts):
        began = time.monotonic()
        answer = await connection.send(post(key, _BODY))
        assert answer.status == 200, answer
        latencies.append(answer.at - began)
    connection.close()
    return latencies
