"""Twenty streams of the default weights whose worker is killed at random. `make nightly`."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from tests.acceptance.server import ROOT, AntiphonServer
from tests.chaos.journal import DELTA, Received, output_text
from tests.chaos.web import PATH, Answer, Http

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

ENGINES = (
    "transformers",
    pytest.param(
        "vllm",
        marks=pytest.mark.skipif(
            not (ROOT / ".venv-vllm" / ".installed").exists(), reason="vLLM is not installed"
        ),
    ),
)
NUM_STREAMS = 20
NUM_KILLS = 4
NUM_TOKENS = 40
TOPICS = ("a lighthouse", "the moon", "an old ship", "bread", "a lost key")


def bodies() -> list[dict[str, Any]]:
    """Return requests with different prompts and seeds, sampled with temperature."""
    return [
        {
            "input": f"Tell me a story about {TOPICS[number % len(TOPICS)]}.",
            "max_output_tokens": NUM_TOKENS,
            "temperature": 0.8,
            "seed": number,
            "background": True,
            "stream": True,
        }
        for number in range(NUM_STREAMS)
    ]


def stream(
    server: AntiphonServer, body: dict[str, Any], on_delta: Callable[[int], None]
) -> list[Received]:
    """Return all events of one response; call `on_delta` with the number of deltas so far."""
    events: list[Received] = []
    with Http("127.0.0.1", server.port).stream("POST", PATH, body) as received:
        assert not isinstance(received, Answer), received
        for event in filter(None, received):
            events.append(event)
            if event.type == DELTA:
                on_delta(sum(known.type == DELTA for known in events))
    return events


def stream_all(
    server: AntiphonServer, requests: list[dict[str, Any]], kill_at: int | None = None
) -> list[list[Received]]:
    """Run all streams at once; kill the worker when the first has `kill_at` deltas."""

    def watch(number: int) -> Callable[[int], None]:
        def on_delta(count: int) -> None:
            if number == 0 and count == kill_at:
                server.kill("worker-1")

        return on_delta

    with ThreadPoolExecutor(len(requests)) as pool:
        watches = [watch(number) for number in range(len(requests))]
        return list(pool.map(stream, [server] * len(requests), requests, watches))


def told(events: list[Received]) -> tuple[str, str, int]:
    """Return the status, text and number of tokens at the end of a stream."""
    response = orjson.loads(events[-1].data)["response"]
    return response["status"], output_text(response), response["usage"]["output_tokens"]


@pytest.mark.parametrize("engine", ENGINES)
def test_streams_are_whole_and_their_texts_as_if_nothing_had_happened(
    make_server: Callable[..., AntiphonServer], capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    server = make_server(engine=engine, dtype="float32")
    seed = random.randrange(2**31)
    dice = random.Random(seed)
    size = NUM_STREAMS // NUM_KILLS
    undisturbed = stream_all(server, bodies())

    disturbed = []
    for number in range(NUM_KILLS):
        requests = bodies()[number * size : (number + 1) * size]
        disturbed += stream_all(server, requests, kill_at=dice.randint(1, NUM_TOKENS - 5))

    for events in disturbed:
        assert [event.number for event in events] == list(range(len(events))), seed
    same = [told(ours) == told(known) for ours, known in zip(disturbed, undisturbed, strict=True)]
    with capsys.disabled():
        equal = f"{sum(same)} of {len(same)} streams equal across {NUM_KILLS} kills"
        print(f"\n{engine}, seed {seed}: {equal}")
    assert all(same), seed
