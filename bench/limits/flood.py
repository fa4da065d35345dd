"""A flood of POSTs from one key, and the first tokens of another one beside it."""

import asyncio
import multiprocessing
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

import orjson

from bench.limits.requests import Address, Connection, first_token_s, post
from bench.peers.usage import tree_memory_bytes
from bench.server import Server

_FLOOD = orjson.dumps({"input": "Hello.", "background": True})
_ASKED = orjson.dumps({"input": "Hello.", "stream": True, "max_output_tokens": 8})
_PAUSE_S = 0.05
_MEMORY_INTERVAL_S = 0.1


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a flood has met, and what the other key has seen meanwhile."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    idle_s: list[float] = field(default_factory=list)
    """Seconds to the other key's first tokens before the flood."""
    beside_s: list[float] = field(default_factory=list)
    """The same during it."""
    grown_bytes: int = 0
    """Growth of the API's memory at its peak."""


def run_flood(
    server: Server, flooding: str, other: str, *, num_posts: int, num_connections: int
) -> Seen:
    """Send POSTs with one key, as fast as they are answered, and ask with another meanwhile."""
    assert server.data_dir is not None
    api = int((server.data_dir / "run" / "api.pid").read_text())
    seen = Seen(idle_s=asyncio.run(_ask_often(server.address, other, 40)))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_flood, args=(server.address, flooding, num_posts, num_connections, theirs)
    )
    before = tree_memory_bytes(api)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(api, before, seen, ended))
    process.start()
    watcher.start()
    seen.beside_s = asyncio.run(_ask_until(server.address, other, ours))
    seen.statuses, seen.seconds = ours.recv()
    ended.set()
    watcher.join()
    process.join()
    return seen


def _watch(api: int, before: int, seen: Seen, ended: threading.Event) -> None:
    while not ended.wait(_MEMORY_INTERVAL_S):
        seen.grown_bytes = max(seen.grown_bytes, tree_memory_bytes(api) - before)


def _flood(address: Address, key: str, num_posts: int, num_connections: int, results: Pipe) -> None:
    statuses: Counter[int] = Counter()
    left = iter(range(num_posts))

    async def send_some() -> None:
        connection = Connection(address)
        for _ in left:
            statuses[(await connection.send(post(key, _FLOOD))).status] += 1
        connection.close()

    async def send_all() -> None:
        await asyncio.gather(*(send_some() for _ in range(num_connections)))

    began = time.monotonic()
    asyncio.run(send_all())
    results.send((statuses, time.monotonic() - began))


async def _ask_often(address: Address, key: str, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        taken.append(await first_token_s(address, key, _ASKED))
        await asyncio.sleep(_PAUSE_S)
    return taken


async def _ask_until(address: Address, key: str, results: Pipe) -> list[float]:
    taken = []
    while not results.poll():
        taken += await _ask_often(address, key, 1)
    return taken
