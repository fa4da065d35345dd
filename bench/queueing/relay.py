"""Delivery of events to many streaming clients at once: completeness and latency."""

from collections.abc import Iterator, Sequence

import orjson

from bench.client.bodies import PATH, background_body
from bench.client.streams import StreamEvent, has_all, run_streams, stream_request
from bench.queueing.observer import Observer, Published
from bench.report import Goal, Measure, percentile
from bench.server import BenchError, Server
from models.ids import parse_response_id

OPENED_PER_SECOND = 200.0
TIMEOUT_S = 180.0


def measure_streams(
    server: Server, *, rounds: int, num_streams: int, num_tokens: int
) -> list[Measure]:
    """Measure clients that each stream a response of their own, of `num_tokens` deltas."""
    num_short: list[float] = []
    delays: list[list[float]] = []
    for _ in range(rounds):
        received, published = _follow(server, num_streams)
        num_short.append(sum(not has_all(events, num_tokens) for events in received))
        delays.append([delay for events in received for delay in _delays_ms(events, published)])
    return [
        Measure(
            name=f"of {num_streams} clients, got all {num_tokens} deltas and the end, worst round",
            rounds=[num_streams - max(num_short)],
            goal=Goal(at_least=num_streams),
        ),
        *(
            Measure(
                name=f"from an event's publication to its client p{percent}, ms",
                rounds=[percentile(delays_ms, percent) for delays_ms in delays],
                goal=Goal(at_most=100) if percent == 99 else None,
            )
            for percent in (50, 99)
        ),
    ]


def _follow(server: Server, num_streams: int) -> tuple[list[list[StreamEvent]], Published]:
    if server.redis_url is None:
        raise BenchError("REDIS_URL must be set to see when events are published")
    observer = Observer(server.redis_url)
    observer.start()
    streams = run_streams(
        server.address,
        [stream_request(PATH, background_body(stream=True))] * num_streams,
        per_second=OPENED_PER_SECOND,
        timeout_s=TIMEOUT_S,
    )
    return [stream.events() for stream in streams], observer.stop()


def _delays_ms(events: Sequence[StreamEvent], published: Published) -> Iterator[float]:
    """Yield the delay of every published event; the first ones are made from the row instead."""
    if not events:
        return
    response_id = parse_response_id(orjson.loads(events[0].data)["response"]["id"])
    assert response_id is not None
    for number, event in enumerate(events):
        published_at = published.get((response_id, number))
        if published_at is not None:
            yield (event.arrived_at - published_at) * 1000
