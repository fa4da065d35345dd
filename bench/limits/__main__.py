"""Limits of projects under load: `python -m bench.limits flood`, `… minutes` or `… cost`."""

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bench.limits.cost import measure_cost
from bench.limits.flood import Seen, run_flood
from bench.limits.minutes import granted_per_minute
from bench.limits.tenants import add_tenant
from bench.report import RESULTS, Circumstances, Goal, Measure, percentile, publish
from bench.server import own_server

app = typer.Typer(pretty_exceptions_enable=False)
Results = Annotated[Path, typer.Option(help="Where a section is appended.")]
_MIB = 1 << 20
_LARGE = 1_000_000_000
_SCRIPTED = {"ANTIPHON_ENGINE": "scripted", "ANTIPHON_SCRIPT_INTERVAL_MS": "5"}


@app.command()
def flood(
    num_posts: Annotated[int, typer.Option(min=100)] = 10_000,
    connections: Annotated[int, typer.Option(min=1)] = 256,
    limit: Annotated[int, typer.Option(help="Requests per minute; 0 for no limit.")] = 600,
    results: Results = RESULTS,
) -> None:
    """Flood a server from one key, and time the first tokens of another one."""
    circumstances = _now()
    with own_server(_SCRIPTED) as server:
        limits = {"requests_per_minute": limit} if limit else {}
        flooding = add_tenant(server, "flooding", **limits)
        other = add_tenant(server, "other")
        seen = run_flood(server, flooding, other, num_posts=num_posts, num_connections=connections)
    what = f"{limit} requests/min" if limit else "no limit"
    title = f"Limits: {num_posts} POSTs on {connections} connections from a key with {what}"
    publish(title, circumstances, _measures(seen), results)


@app.command()
def minutes(
    limit: Annotated[int, typer.Option(min=60, help="Requests per minute.")] = 1200,
    seconds: Annotated[float, typer.Option(min=130)] = 200,
    processes: Annotated[int, typer.Option(min=1)] = 4,
    results: Results = RESULTS,
) -> None:
    """Ask for half as much again as a limit grants, and count every minute."""
    circumstances = _now()
    with own_server(_SCRIPTED | {"ANTIPHON_API_PROCESSES": str(processes)}) as server:
        key = add_tenant(server, "limited", requests_per_minute=limit)
        least, most = granted_per_minute(
            server.address, key, limit=limit, num_connections=16, seconds=seconds
        )
    measures = [
        Measure(name="most, % of it", rounds=[most / limit * 100], goal=Goal(at_most=102)),
        Measure(name="least, % of it", rounds=[least / limit * 100], goal=Goal(at_least=98)),
    ]
    title = f"Limits: granted in any minute, of {limit} requests/min over {processes} processes"
    publish(title, circumstances, measures, results)


@app.command()
def cost(
    rounds: Annotated[int, typer.Option(min=2)] = 8,
    num_posts: Annotated[int, typer.Option(min=20)] = 150,
    before: Annotated[Path | None, typer.Option(help="Checkout to compare with.")] = None,
    results: Results = RESULTS,
) -> None:
    """Time POSTs on an open server, and with a key of a project that has all limits."""
    circumstances = _now()
    with ExitStack() as stack:
        opened = stack.enter_context(own_server(_SCRIPTED))
        closed = stack.enter_context(own_server(_SCRIPTED))
        limited = add_tenant(
            closed,
            "limited",
            requests_per_minute=_LARGE,
            input_tokens_per_minute=_LARGE,
            output_tokens_per_minute=_LARGE,
            max_stored_bytes=_LARGE,
        )
        unlimited = add_tenant(closed, "unlimited")
        targets = {
            "open": (opened.address, ""),
            "with a key": (closed.address, unlimited),
            "with a key and all limits": (closed.address, limited),
        }
        if before is not None:
            earlier = stack.enter_context(own_server(_SCRIPTED, root=before))
            targets = {"before": (earlier.address, "")} | targets
        measures = measure_cost(targets, rounds=rounds, num_posts=num_posts)
    publish("Limits: what keys and limits add to a POST", circumstances, measures, results)


def _measures(seen: Seen) -> list[Measure]:
    idle, beside = (percentile(taken, 95) for taken in (seen.idle_s, seen.beside_s))
    statuses = sorted(seen.statuses.items())
    return [
        *(Measure(name=f"answers {status}", rounds=[num]) for status, num in statuses),
        Measure(
            name="answers 5xx, or none",
            rounds=[sum(num for status, num in statuses if status >= 500 or status == 0)],
            goal=Goal(at_most=0),
        ),
        Measure(name="POSTs/s", rounds=[seen.statuses.total() / seen.seconds]),
        Measure(name="first token of the other key, idle, p95 ms", rounds=[idle * 1000]),
        Measure(name="beside the flood, p95 ms", rounds=[beside * 1000]),
        Measure(name="as a multiple", rounds=[beside / idle], goal=Goal(at_most=2)),
        Measure(name="requests of the other key beside it", rounds=[len(seen.beside_s)]),
        Measure(
            name="the API grew by, MB",
            rounds=[seen.grown_bytes / _MIB],
            goal=Goal(at_most=100),
        ),
    ]


def _now() -> Circumstances:
    return Circumstances.now(shlex.join(["python", "-m", "bench.limits", *sys.argv[1:]]))


if __name__ == "__main__":
    app()
