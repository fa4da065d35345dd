"""Processes of vLLM in the whole server: two that share a model, and their deaths."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tests.acceptance.server import ROOT, AntiphonServer
from tests.acceptance.test_kills_of_the_real_engine import stream, told
from tests.acceptance.ties import TieJudge
from tests.chaos.journal import Received, output_text
from tests.chaos.web import PATH, Answer, Http
from tests.tiny_model import save_tiny_model

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (ROOT / ".venv-vllm" / ".installed").exists(), reason="vLLM is not installed"
    ),
]

MakeServer = Callable[..., AntiphonServer]

NUM_ANSWERS = 16
NUM_TOKENS = 200
NUM_DISTURBED = 6
KILL_AT = 30
"""Number of deltas of the first answer at which a process is killed."""
POISON = 666
"""Seed of the request that brings down the engine."""
_TOPICS = ("a lighthouse", "the moon", "an old ship", "bread", "a lost key")
_HOOK = f"""
import sys

from tests.chaos.build import PatchingFinder


def poison(drawer):
    draw = drawer.TokenDrawer._draw

    def draw_or_fail(self, scores, rows):
        if any(row.params.seed == {POISON} and row.draw.position > 5 for row in rows):
            raise RuntimeError("poisoned")
        return draw(self, scores, rows)

    drawer.TokenDrawer._draw = draw_or_fail


sys.meta_path.insert(0, PatchingFinder({{"worker.engine.vllm.drawer": [poison]}}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random Llama whose heads two processes can share."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), head_dim=32)


def body_of(number: int, num_tokens: int = NUM_TOKENS) -> dict[str, Any]:
    """Return a request; every other one is greedy."""
    return {
        "input": f"Tell me a story about {_TOPICS[number % len(_TOPICS)]}, no. {number}.",
        "max_output_tokens": num_tokens,
        "temperature": 1.0 if number % 2 else 0,
        "top_p": 1,
        "seed": number,
        "logit_bias": {"256": -100},  # the end token, which has no bytes
        "background": True,
        "stream": True,
        "include": ["message.output_text.logprobs"],
    }


def start(make_server: MakeServer, folder: Path, num_ranks: int) -> AntiphonServer:
    arguments = {"tensor_parallel_size": num_ranks, "block_size": 32}
    return make_server(
        engine="vllm",
        model=str(folder),
        dtype="float32",
        kv_cache_gib="0.02",
        threads="1",
        vllm_args=json.dumps(arguments),
    )


def nothing(_: int) -> None:
    """Do nothing at a delta."""


def run(
    server: AntiphonServer,
    requests: list[dict[str, Any]],
    on_first: Callable[[int], None] = nothing,
) -> list[list[Received]]:
    """Return the events of all; call `on_first` with the number of deltas of the first."""
    watches = [on_first, *[nothing] * (len(requests) - 1)]
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(stream, [server] * len(requests), requests, watches))


def ranks_of(server: AntiphonServer) -> list[psutil.Process]:
    """Return the processes that compute a part of the model."""
    below = psutil.Process(server.pid("worker-1")).children()
    others = ("fork_server", "forkserver", "resource_tracker")
    return [each for each in below if not any(name in " ".join(each.cmdline()) for name in others)]


def end_of(events: list[Received]) -> dict[str, Any]:
    """Return the response object at the end of a stream."""
    response: dict[str, Any] = orjson.loads(events[-1].data)["response"]
    return response


def tokens_of(events: list[Received]) -> list[bytes]:
    """Return the tokens of an answer; each is a byte."""
    parts = (part for item in end_of(events)["output"] for part in item["content"])
    return [bytes(entry["bytes"]) for part in parts for entry in part["logprobs"]]


def first_difference(ours: list[bytes], theirs: list[bytes]) -> int | None:
    differences = (n for n, pair in enumerate(zip(ours, theirs, strict=True)) if len({*pair}) > 1)
    return next(differences, None)


def test_two_processes_draw_what_one_draws_but_for_ties(
    make_server: MakeServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [body_of(number) for number in range(NUM_ANSWERS)]
    one = start(make_server, folder, 1)
    alone = [tokens_of(events) for events in run(one, requests)]
    one.stop()
    two = start(make_server, folder, 2)
    assert len(ranks_of(two)) == 2
    shared = [tokens_of(events) for events in run(two, requests)]

    judge, num_ties, wrong = TieJudge(folder), 0, []
    for body, ours, theirs in zip(requests, alone, shared, strict=True):
        at = first_difference(ours, theirs)
        if at is not None:
            num_ties += 1
            if not judge.is_tie(body, ours[:at], [ours[at], theirs[at]]):
                wrong.append((body["seed"], at))

    assert wrong == []
    assert [len(tokens) for tokens in alone] == [NUM_TOKENS] * NUM_ANSWERS
    with capsys.disabled():
        print(f"\n{NUM_ANSWERS} answers of {NUM_TOKENS} tokens, ties: {num_ties}")


def test_a_killed_process_loses_no_response(
    make_server: MakeServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start(make_server, folder, 2)
    requests = [body_of(number, 400) for number in range(NUM_DISTURBED)]
    undisturbed = run(server, requests)
    worker = server.pid("worker-1")

    def kill(count: int) -> None:
        if count == KILL_AT:
            os.kill(ranks_of(server)[-1].pid, signal.SIGKILL)

    disturbed = run(server, requests, kill)

    for events, known in zip(disturbed, undisturbed, strict=True):
        check_whole(server, events)
        assert told(events) == told(known), end_of(events)["error"]
        assert tokens_of(events) == tokens_of(known)
    assert server.pid("worker-1") != worker
    silences = [later.at - earlier.at for each in disturbed for earlier, later in pairwise(each)]
    with capsys.disabled():
        print(f"\n{NUM_DISTURBED} answers across the kill; longest silence {max(silences):.1f} s")


def test_a_response_that_brings_the_engine_down_fails_alone(
    make_server: MakeServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(_HOOK)
    monkeypatch.setenv("PYTHONPATH", f"{hooks}{os.pathsep}{ROOT}")
    server = start(make_server, folder, 1)
    requests = [body_of(number, 300) for number in range(3)]
    undisturbed = run(server, requests)

    poisoned, *others = run(server, [body_of(1) | {"seed": POISON}, *requests])

    check_whole(server, poisoned)
    assert end_of(poisoned)["status"] == "failed"
    for events, known in zip(others, undisturbed, strict=True):
        check_whole(server, events)
        assert told(events) == told(known), end_of(events)["error"]


def check_whole(server: AntiphonServer, events: list[Received]) -> None:
    """Check that a stream has every event once, one end, and what is stored."""
    assert [event.number for event in events] == list(range(len(events)))
    assert [event.is_terminal for event in events].count(True) == 1
    response = end_of(events)
    http = Http("127.0.0.1", server.port)
    stored = http.request("GET", f"{PATH}/{response['id']}").body
    assert stored["status"] == response["status"]
    assert output_text(stored) == output_text(response)
    with http.stream("GET", f"{PATH}/{response['id']}?stream=true") as replayed:
        assert not isinstance(replayed, Answer), replayed
        assert [event.data for event in filter(None, replayed)] == [each.data for each in events]
