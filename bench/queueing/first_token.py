"""Latency that the server adds to the engine's own time to first token."""

import queue
import statistics
import time

from bench.client.bodies import PATH, background_body
from bench.client.streams import first_delta_s, run_streams, stream_request
from bench.report import Goal, Measure, percentile
from bench.server import BenchError, Server
from worker.engine.interface import Delta, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.scripted import ScriptedEngine

_TIMEOUT_S = 30.0


def measure_first_tokens(
    server: Server, *, rounds: int, num_requests: int, interval_ms: float
) -> list[Measure]:
    """Measure the latency of single requests on an idle server, minus that of the engine alone.

    `interval_ms` is the interval between tokens that the server's engine is set to.
    """
    added: list[list[float]] = []
    alone: list[float] = []
    for _ in range(rounds):
        alone.append(statistics.median(_alone_ms(interval_ms, num_requests)))
        over_http = [_over_http_ms(server) for _ in range(num_requests)]
        added.append([latency_ms - alone[-1] for latency_ms in over_http])
    return [
        Measure(name="engine alone, first token p50, ms", rounds=alone),
        *(
            Measure(
                name=f"added from POST to first token p{percent}, ms",
                rounds=[percentile(latencies_ms, percent) for latencies_ms in added],
                goal=Goal(at_most=20) if percent == 50 else None,
            )
            for percent in (50, 95, 99)
        ),
    ]


def _over_http_ms(server: Server) -> float:
    """Send one background request; return the milliseconds to its first token."""
    request = stream_request(PATH, background_body(stream=True))
    [stream] = run_streams(server.address, [request], per_second=1, timeout_s=_TIMEOUT_S)
    seconds = first_delta_s(stream)
    if seconds is None:
        raise BenchError("a stream ended without text")
    return seconds * 1000


def _alone_ms(interval_ms: float, num_requests: int) -> list[float]:
    """Return the milliseconds from submission to first token of an engine in this process."""
    arrivals: queue.SimpleQueue[float] = queue.SimpleQueue()

    def on_step(deltas: list[Delta]) -> None:
        arrivals.put(time.monotonic())

    engine = ScriptedEngine(
        num_tokens=1, interval_s=interval_ms / 1000, max_sequences=1, on_step=on_step
    )
    engine.start()
    taken: list[float] = []
    for number in range(num_requests):
        began = time.monotonic()
        engine.submit(
            GenerationRequest(
                sequence_id=str(number), prompt=[0], params=SamplingParams(max_tokens=1)
            )
        )
        taken.append((arrivals.get(timeout=_TIMEOUT_S) - began) * 1000)
    engine.stop()
    return taken
