"""Attacks on a server, and what its other clients see of them: `python -m bench.attacks`.

Each attack is driven from outside by a process of its own, for some seconds. Beside it, /livez and
foreground requests are timed, and the memory of the API and the CPU time of the server measured.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.attacks.kinds import ATTACKS
from bench.attacks.neighbour import Seen, observe
from bench.report import RESULTS, Circumstances, Grid, publish_grids
from bench.server import own_server

_WEIGHTS = Path(".antiphon/weights")
_MIB = 1 << 20
_COLUMNS = (
    "Attack",
    "/livez, worst (s)",
    "Neighbour's requests served",
    "slowest (s)",
    "API grew by (MiB)",
    "and kept (MiB)",
    "cores used 5 s after",
)


def main(
    seconds: Annotated[float, typer.Option(min=5, help="Of each attack.")] = 30,
    only: Annotated[str, typer.Option(help="Attacks whose name contains this.")] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Attack a server with the default weights in each way, one after the other."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.attacks", *sys.argv[1:]]))
    chosen = {name: attack for name, attack in ATTACKS.items() if only in name}
    with own_server({"ANTIPHON_ENGINE": "transformers"}, _WEIGHTS) as server:
        rows = [_row(name, observe(server, attack, seconds)) for name, attack in chosen.items()]
    grid = Grid(columns=_COLUMNS, rows=rows)
    publish_grids(f"Attacks of {seconds:g} s each", circumstances, [grid], results)


def _row(name: str, seen: Seen) -> tuple[str, ...]:
    served = [taken for taken in seen.foreground_s if taken != float("inf")]
    return (
        name,
        f"{max(seen.live_s, default=float('inf')):.2f}",
        f"{len(served)} of {len(seen.foreground_s)}",
        f"{max(served, default=float('inf')):.2f}",
        f"{seen.grown_bytes / _MIB:.0f}",
        f"{seen.kept_bytes / _MIB:.0f}",
        f"{seen.quiet_cores:.2f}",
    )


if __name__ == "__main__":
    typer.run(main)
