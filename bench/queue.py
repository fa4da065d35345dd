"""Benchmark of the server without a model: `python -m bench.queue`.

Everything runs on this machine, the load generator too. The scripted engine generates tokens at a
fixed rate, so that all other time is spent in the server.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.queueing.first_token import measure_first_tokens
from bench.queueing.relay import measure_streams
from bench.queueing.requests import measure_requests
from bench.report import RESULTS, Circumstances, Measure, publish
from bench.server import Server, own_server, running_server

NUM_TOKENS = 20
REQUESTS_INTERVAL_MS = 50.0
"""Interval for responses of one second; with far shorter ones, the worker would limit POST/s."""
FIRST_TOKEN_INTERVAL_MS = 1.0
STREAM_INTERVAL_MS = 1000.0


class PartName(StrEnum):
    """Names of the parts that can be measured alone."""

    REQUESTS = "requests"
    FIRST_TOKENS = "first-tokens"
    STREAMS = "streams"


@dataclass(frozen=True, slots=True)
class Part:
    """Measurement and the settings of its server."""

    measure: Callable[[Server], list[Measure]]
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, base_url: str) -> list[Measure]:
        """Measure the server at `base_url`, or a new one if `base_url` is empty."""
        if base_url:
            return self.measure(running_server(base_url))
        common = {"ANTIPHON_ENGINE": "scripted", "ANTIPHON_SCRIPT_TOKENS": str(NUM_TOKENS)}
        with own_server(common | self.settings) as server:
            return self.measure(server)


def main(  # noqa: PLR0913 - each is an option of the command line
    only: Annotated[list[PartName] | None, typer.Option(help="Leave the others out.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of each figure.")] = 3,
    seconds: Annotated[float, typer.Option(help="Of a round of POSTs or of GETs.")] = 8.0,
    requests: Annotated[int, typer.Option(help="In a round of first tokens.")] = 100,
    streams: Annotated[int, typer.Option(help="Streaming clients at a time.")] = 1000,
    base_url: Annotated[
        str, typer.Option(help="A running scripted server; DATABASE_URL and REDIS_URL are its.")
    ] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure POST/s, GET/s, the time to the first token and the streams of many clients."""
    parts = {
        PartName.REQUESTS: Part(
            lambda server: measure_requests(server, rounds=rounds, seconds=seconds),
            {"ANTIPHON_SCRIPT_INTERVAL_MS": str(REQUESTS_INTERVAL_MS)},
        ),
        PartName.FIRST_TOKENS: Part(
            lambda server: measure_first_tokens(
                server,
                rounds=rounds,
                num_requests=requests,
                interval_ms=FIRST_TOKEN_INTERVAL_MS,
            ),
            {"ANTIPHON_SCRIPT_INTERVAL_MS": str(FIRST_TOKEN_INTERVAL_MS)},
        ),
        PartName.STREAMS: Part(
            lambda server: measure_streams(
                server, rounds=rounds, num_streams=streams, num_tokens=NUM_TOKENS
            ),
            {
                "ANTIPHON_SCRIPT_INTERVAL_MS": str(STREAM_INTERVAL_MS),
                "ANTIPHON_MAX_SEQUENCES": str(streams),
            },
        ),
    }
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.queue", *sys.argv[1:]]))
    measures = [measure for name in only or parts for measure in parts[name].run(base_url)]
    publish("Queue: the scripted engine over HTTP", circumstances, measures, results)


if __name__ == "__main__":
    typer.run(main)
