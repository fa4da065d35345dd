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
from bench.fairness.floods import Sizes, measure_floods
from bench.fairness.shares import measure_shares
from bench.fairness.tenants import NUM_PLACES, tenants_of
from bench.report import RESULTS, Circumstances, Measure, publish
from bench.server import own_server

INTERVAL_MS = 20.0
FLOODS = {"responses of 2 s": 100, "responses of 60 s": 3000}
"""Tokens of the responses of a flood: a place becomes free soon, or only by preemption."""


_SETTINGS = {
    "ANTIPHON_ENGINE": "scripted",
    "ANTIPHON_SCRIPT_TOKENS": str(max(FLOODS.values())),
    "ANTIPHON_SCRIPT_INTERVAL_MS": str(INTERVAL_MS),
    "ANTIPHON_MAX_SEQUENCES": str(NUM_PLACES),
}


class PartName(StrEnum):
    """Names of the parts that can be measured alone."""

    FLOODS = "floods"
    SHARES = "shares"
    CLAIMS = "claims"


def main(  # noqa: PLR0913 - each is an option of the command line
    only: Annotated[list[PartName] | None, typer.Option(help="Leave the others out.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of each figure.")] = 3,
    requests: Annotated[int, typer.Option(min=2, help="First tokens of a round.")] = 30,
    flood: Annotated[int, typer.Option(help="Responses that another project queues.")] = 10_000,
    user_flood: Annotated[int, typer.Option(help="Those that another end user queues.")] = 500,
    seconds: Annotated[float, typer.Option(help="Of saturation, in a round of shares.")] = 300.0,
    claims: Annotated[int, typer.Option(min=100, help="In a round of claims.")] = 1000,
    queued: Annotated[int, typer.Option(help="Responses of the longer queue.")] = 100_000,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure first tokens beside a flood, the shares of weights, and claims in a long queue."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.fairness", *sys.argv[1:]]))
    sizes = Sizes(rounds=rounds, num_requests=requests, num_flood=flood, num_user_flood=user_flood)
    parts = only or list(PartName)
    measures: list[Measure] = []
    with own_server(_SETTINGS) as server, tenants_of(server) as tenants:
        if PartName.FLOODS in parts:
            for name, num_tokens in FLOODS.items():
                measures += measure_floods(tenants, sizes, name=name, num_tokens=num_tokens)
        if PartName.SHARES in parts:
            measures += measure_shares(tenants, seconds=seconds, rounds=rounds)
        if PartName.CLAIMS in parts:
            for num_queued, num_projects in ((min(queued, 5000), 1), (queued, 1000)):
                measures += measure_claims(
                    tenants,
                    num_queued=num_queued,
                    num_projects=num_projects,
                    num_claims=claims,
                    rounds=rounds,
                )
    publish("Fairness: the scripted engine, eight places", circumstances, measures, results)


if __name__ == "__main__":
    typer.run(main)
