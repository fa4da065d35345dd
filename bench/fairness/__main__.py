"""Benchmark of fairness: `python -m bench.fairness`.

The scripted engine generates tokens at a fixed rate in worker processes; responses of all projects
are written straight to the store.
"""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.fairness.claims import measure_claims
from bench.fairness.floods import measure_floods
from bench.fairness.shares import measure_shares
from bench.fairness.tenants import NUM_PLACES, tenants_of
from bench.report import RESULTS, Circumstances, Measure, publish
from bench.server import own_server

INTERVAL_MS = 20.0
FLOODS = {"responses of 2 s": 100, "responses of 60 s": 3000}
"""Tokens of the responses of a flood: a place becomes free soon, or only by preemption."""


class PartName(StrEnum):
    """Names of the parts that can be measured alone."""

    FLOODS = "floods"
    SHARES = "shares"
    CLAIMS = "claims"


def main(
    only: Annotated[list[PartName] | None, typer.Option(help="Leave the others out.")] = None,
    requests: Annotated[int, typer.Option(help="First tokens of a round.")] = 30,
    seconds: Annotated[float, typer.Option(help="Of saturation.")] = 300.0,
    claims: Annotated[int, typer.Option(help="In a queue.")] = 1000,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure first tokens beside a flood, the shares of weights, and claims in a long queue."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.fairness", *sys.argv[1:]]))
    measures: list[Measure] = []
    settings = {
        "ANTIPHON_ENGINE": "scripted",
        "ANTIPHON_SCRIPT_TOKENS": str(max(FLOODS.values())),
        "ANTIPHON_SCRIPT_INTERVAL_MS": str(INTERVAL_MS),
        "ANTIPHON_MAX_SEQUENCES": str(NUM_PLACES),
    }
    with own_server(settings) as server, tenants_of(server) as tenants:
        if PartName.FLOODS in (only or list(PartName)):
            for name, num_tokens in FLOODS.items():
                measures += measure_floods(
                    tenants, name=name, num_tokens=num_tokens, num_requests=requests
                )
        if PartName.SHARES in (only or list(PartName)):
            measures += measure_shares(tenants, seconds=seconds)
        if PartName.CLAIMS in (only or list(PartName)):
            for num_queued, num_projects in ((5000, 1), (100_000, 1000)):
                measures += measure_claims(
                    tenants,
                    num_queued=num_queued,
                    num_projects=num_projects,
                    num_claims=claims,
                    num_threads=4,
                )
    publish("Fairness: the scripted engine, eight places", circumstances, measures, results)


if __name__ == "__main__":
    typer.run(main)
