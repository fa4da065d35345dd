"""Another client beside an attack: liveness, foreground requests, memory and CPU of the server."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from bench.attacks.connections import Address, get, post
from bench.attacks.kinds import Attack
from bench.peers.usage import tree_cpu_s, tree_memory_bytes
from bench.server import Server

_LIVE_INTERVAL_S = 0.2
_MEMORY_INTERVAL_S = 0.5
_SETTLE_S = 5.0
"""Seconds after an attack until CPU time is measured."""
_QUIET_S = 5.0
"""Seconds over which it is."""
_RETURN_S = 30.0
"""Seconds after an attack until memory is measured."""
_REQUEST = orjson.dumps({"input": "Hello.", "max_output_tokens": 4})


@dataclass(slots=True, kw_only=True)
class Seen:
    """Observations during one attack."""

    live_s: list[float] = field(default_factory=list)
    """Seconds to each answer of /livez; infinite without a 200."""
    foreground_s: list[float] = field(default_factory=list)
    """Seconds to each answer of a foreground request, likewise."""
    grown_bytes: int = 0
    """Growth of the API's memory at its peak."""
    kept_bytes: int = 0
    """Growth that is left half a minute after the attack."""
    quiet_cores: float = 0.0
    """Cores that the server uses five to ten seconds after the attack."""


def observe(server: Server, attack: Attack, seconds: float) -> Seen:
    """Run an attack in a process of its own and watch the server beside it."""
    assert server.data_dir is not None
    api = int((server.data_dir / "run" / "api.pid").read_text())
    seen, ended = Seen(), threading.Event()
    before = peak = tree_memory_bytes(api)

    def watch_memory() -> None:
        nonlocal peak
        while not ended.wait(_MEMORY_INTERVAL_S):
            peak = max(peak, tree_memory_bytes(api))

    watchers = [
        threading.Thread(target=watch_memory),
        _repeating(lambda: _timed(lambda: get(server.address, "/livez"), seen.live_s), ended),
        _repeating(lambda: _timed(lambda: _ask(server.address), seen.foreground_s), ended),
    ]
    for watcher in watchers:
        watcher.start()
    _run(attack, server.address, seconds)
    ended.set()
    for watcher in watchers:
        watcher.join()
    time.sleep(_SETTLE_S)
    used = tree_cpu_s(server.pid)
    time.sleep(_QUIET_S)
    seen.quiet_cores = (tree_cpu_s(server.pid) - used) / _QUIET_S
    time.sleep(_RETURN_S - _SETTLE_S - _QUIET_S)
    seen.grown_bytes, seen.kept_bytes = peak - before, tree_memory_bytes(api) - before
    return seen


def _run(attack: Attack, address: Address, seconds: float) -> None:
    """Run an attack in a process, and end it if it does not end by itself."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=attack, args=(address, time.monotonic() + seconds))
    process.start()
    process.join(seconds * 2)
    process.kill()
    process.join()


def _repeating(call: Callable[[], object], ended: threading.Event) -> threading.Thread:
    def run() -> None:
        while not ended.wait(_LIVE_INTERVAL_S):
            call()

    return threading.Thread(target=run)


def _timed(send: Callable[[], int], into: list[float]) -> None:
    began = time.monotonic()
    status = send()
    into.append(time.monotonic() - began if status == 200 else float("inf"))


def _ask(address: Address) -> int:
    return post(address, "/v1/responses", _REQUEST)
