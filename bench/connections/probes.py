"""Latencies of ordinary requests, one at a time, from a process of its own."""

import statistics
from itertools import repeat

from bench.client.load import Address, get_request, post_request, run_closed_loop

PROBES = {
    "POST": post_request("/v1/responses", b'{"input":"Hello.","background":true}'),
    "GET": get_request("/v1/models"),
    "/livez": get_request("/livez"),
}
_PROBE_S = 5.0


def probe(address: Address) -> dict[str, float]:
    """Return the median latency of each request in milliseconds, one at a time."""
    medians = {}
    for name, request in PROBES.items():
        answers = run_closed_loop(address, repeat(request), num_connections=1, seconds=_PROBE_S)
        medians[name] = statistics.median(answers.latencies_s) * 1000
    return medians
