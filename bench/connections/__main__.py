"""Benchmark of open connections: `python -m bench.connections`.

One API process holds many streams or WebSockets, each of a queued response. Events are published
for them as a worker would publish them; meanwhile requests are timed. `--root` starts the server of
another checkout, to compare designs.
"""

import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bench.connections.holder import Holder, Kind
from bench.connections.probes import PROBES, probe
from bench.connections.publisher import publish
from bench.report import RESULTS, Circumstances, Grid, number, percentile, publish_grids
from bench.server import ROOT, Server, own_server

_KB = 1000
_BUSY_S = 18.0
_SETTINGS = {
    "ANTIPHON_ENGINE": "scripted",
    "ANTIPHON_SCRIPT_INTERVAL_MS": "3600000",
    "ANTIPHON_API_PROCESSES": "1",
    "ANTIPHON_API_STREAMS": "6000",
    "ANTIPHON_API_CLIENT_STREAMS": "6000",
    "ANTIPHON_MAX_QUEUED": "100000",
    "ANTIPHON_MAX_QUEUED_PER_PROJECT": "100000",
    "ANTIPHON_DRAIN_SECONDS": "0",
}
_COLUMNS = (
    "Design",
    "Kind",
    "Open",
    "kB each",
    "Delivered",
    "Relay p50, ms",
    "p99, ms",
    *(f"{name} p50, ms: idle, busy" for name in PROBES),
    "API, cores",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Streams to hold and events to publish."""

    kind: Kind
    num_streams: int
    per_second: float


def main(
    streams: Annotated[int, typer.Option(min=50)] = 5000,
    per_second: Annotated[float, typer.Option(help="Events published in all.")] = 2000,
    kind: Annotated[str, typer.Option(help="sse, websocket, or both, separated by commas.")] = (
        "sse,websocket"
    ),
    design: Annotated[str, typer.Option(help="Name of the design in the table.")] = "event loop",
    root: Annotated[Path, typer.Option(help="Checkout whose server is started.")] = ROOT,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Hold streams and time what is served beside them."""
    circumstances = Circumstances.now(
        shlex.join(["python", "-m", "bench.connections", *sys.argv[1:]])
    )
    rows = []
    for name in kind.split(","):
        chosen: Kind = "sse" if name == "sse" else "websocket"
        load = Load(kind=chosen, num_streams=streams, per_second=per_second)
        with own_server(_SETTINGS, root=root) as server:
            rows.append((design, name, *_measure(server, load)))
    grid = Grid(columns=_COLUMNS, rows=rows)
    title = f"{streams} open connections on one API process, {per_second:g} events/s"
    publish_grids(title, circumstances, [grid], results)


def _measure(server: Server, load: Load) -> tuple[str, ...]:
    api = _api_process(server)
    with ProcessPoolExecutor(1, get_context("spawn")) as prober:
        prober.submit(probe, server.address).result()  # warms up
        idle = prober.submit(probe, server.address).result()
        return _measure_beside(server, load, api, prober, idle)


def _measure_beside(
    server: Server,
    load: Load,
    api: psutil.Process,
    prober: ProcessPoolExecutor,
    idle: dict[str, float],
) -> tuple[str, ...]:
    before = api.memory_full_info().pss
    holder = Holder(server.address, load.kind, load.num_streams)
    opened = holder.open()
    each = (api.memory_full_info().pss - before) / max(1, len(opened)) / _KB
    used, began = sum(api.cpu_times()[:2]), time.monotonic()
    probing = prober.submit(probe, server.address)
    num_published = publish(server, opened, per_second=load.per_second, seconds=_BUSY_S)
    cores = (sum(api.cpu_times()[:2]) - used) / (time.monotonic() - began)
    busy = probing.result()
    time.sleep(1)
    delays = holder.stop().delays_s
    return (
        str(len(opened)),
        number(each),
        f"{len(delays)} of {num_published}",
        *(number(percentile(delays, percent) * 1000) for percent in (50, 99)),
        *(f"{number(idle[name])}, {number(busy[name])}" for name in PROBES),
        number(cores),
    )


def _api_process(server: Server) -> psutil.Process:
    """Return the one process that serves; gunicorn's master is its parent."""
    assert server.data_dir is not None
    master = psutil.Process(int((server.data_dir / "run" / "api.pid").read_text()))
    [process] = [child for child in master.children() if child.status() != psutil.STATUS_ZOMBIE]
    return process


if __name__ == "__main__":
    typer.run(main)
