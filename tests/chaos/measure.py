"""Measure every recovery time and print a table for the docs: `python -m tests.chaos.measure`."""

import argparse
import statistics
from collections.abc import Callable, Iterator

from bench.report import percentile
from tests.chaos import measures, returns
from tests.chaos.build import EAGER
from tests.chaos.cluster import Cluster, running

Measure = Callable[[Cluster, int], Iterator[float]]

MEASURES: dict[str, tuple[Measure, int]] = {
    "kill": (measures.after_kill, 60),
    "unseen kill": (measures.after_unseen_kill, 40),
    "freeze": (measures.after_freeze, 10),
    "hang": (measures.after_hang, 10),
    "redis": (measures.after_redis, 10),
    "postgres": (measures.after_postgres, 10),
    "refusals": (returns.after_refusal, 60),
    "cancel": (measures.of_cancel, 200),
    "disconnect": (measures.of_disconnect, 100),
    "resume": (measures.of_resume, 200),
}
"""Name → measurement, and its number of repetitions."""


def main() -> None:
    """Run each measurement on a new cluster, so that none affects another."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.measure", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MEASURES], help="all if none is given")
    parser.add_argument("--count", type=int, default=None, help="instead of each one's own")
    given = parser.parse_args()
    for name in given.names or MEASURES:
        measure, count = MEASURES[name]
        with running(num_workers=4, script_tokens="1000000", env={EAGER: "1"}) as cluster:
            samples = list(measure(cluster, given.count or count))
        print(_row(name, given.count or count, samples), flush=True)


def _row(name: str, count: int, samples: list[float]) -> str:
    median = statistics.median(samples)
    p95, p99 = percentile(samples, 95), percentile(samples, 99)
    return (
        f"| {name} | {count} | {len(samples)} | {median:.2f} | {p95:.2f} | {p99:.2f} "
        f"| {max(samples):.2f} |"
    )


if __name__ == "__main__":
    main()
