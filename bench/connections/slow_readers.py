"""Streams that are read at a byte per second: `python -m bench.connections.slow_readers`.

They follow a stored response beside streams that are read at once, until the server drops them.
"""

import re
import select
import shlex
import socket
import statistics
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import orjson
import typer

from bench.client.bodies import PATH, background_body
from bench.client.load import Address, post_request
from bench.client.streams import run_streams, stream_request
from bench.peers.usage import tree_memory_bytes
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import Server, own_server

_NUMBER = re.compile(rb'"sequence_number":(\d+)')
_SMALL_WINDOW = 4096
_LONGEST_S = 240.0
_NUM_RESUMED = 20
_SETTINGS = {
    "ANTIPHON_ENGINE": "scripted",
    "ANTIPHON_SCRIPT_TOKENS": "1500",
    "ANTIPHON_SCRIPT_INTERVAL_MS": "20",
    "ANTIPHON_API_PROCESSES": "1",
}


@dataclass(slots=True)
class SlowReaders:
    """Clients that follow one stored response, and read a byte per second each."""

    address: Address
    response_id: str
    number: int
    connections: list[socket.socket] = field(default_factory=list)
    dropped_after_s: dict[socket.socket, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Open all streams and read on in a thread."""
        request = stream_get(self.response_id)
        for _ in range(self.number):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
            connection.connect(self.address)
            connection.sendall(request)
            self.connections.append(connection)
        thread = threading.Thread(target=self._read)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()

    def _read(self) -> None:
        began = time.monotonic()
        while not self._stopping.wait(1):
            for connection in self.connections:
                if connection not in self.dropped_after_s and not self._read_one(connection):
                    self.dropped_after_s[connection] = time.monotonic() - began

    def _read_one(self, connection: socket.socket) -> bool:
        """Read a byte; return False if the server has reset the connection."""
        poll = select.poll()
        poll.register(connection, 0)
        if poll.poll(0):
            return False
        with suppress(OSError):
            connection.recv(1)
        return True


def stream_get(response_id: str, *, after: int | None = None) -> bytes:
    """Return a request of the events of a response."""
    query = "" if after is None else f"&starting_after={after}"
    path = f"/v1/responses/{response_id}?stream=true{query}"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def tokens_per_second(address: Address, *, num_streams: int, timeout_s: float) -> float:
    """Return the rate of events that streams read at once receive together."""
    request = stream_request(PATH, background_body(stream=True))
    began = time.monotonic()
    streams = run_streams(address, [request] * num_streams, per_second=1000, timeout_s=timeout_s)
    return sum(len(stream.events()) for stream in streams) / (time.monotonic() - began)


def create_long_response(address: Address) -> str:
    """Create a response in the foreground; return its id."""
    with socket.create_connection(address, timeout=300) as connection:
        connection.sendall(post_request(PATH, orjson.dumps({"input": "Hello."})))
        received = b""
        while (found := re.search(rb'"id":"(resp_[0-9a-f]+)"', received)) is None:
            received += connection.recv(1 << 16)
    return found[1].decode()


def can_resume(address: Address, response_id: str, after: int) -> bool:
    """Return True if the stream goes on with the event after number `after`."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(stream_get(response_id, after=after))
        received = b""
        while (found := _NUMBER.search(received)) is None:
            received += connection.recv(1 << 16)
    return int(found[1]) == after + 1


def main(
    readers: Annotated[int, typer.Option(min=1)] = 500,
    streams: Annotated[int, typer.Option(min=1)] = 32,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure the streams without the slow readers, beside them, and how those end."""
    command = shlex.join(["python", "-m", "bench.connections.slow_readers", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    with own_server(_SETTINGS) as server:
        measures = _measure(server, readers, streams)
    title = f"{readers} streams read at a byte per second beside {streams} that are read at once"
    publish(title, circumstances, measures, results)


def _measure(server: Server, num_readers: int, num_streams: int) -> list[Measure]:
    assert server.data_dir is not None
    api = int((server.data_dir / "run" / "api.pid").read_text())
    response_id = create_long_response(server.address)
    alone = [_tokens_per_second(server, num_streams) for _ in range(2)]
    before = tree_memory_bytes(api)
    slow = SlowReaders(server.address, response_id, num_readers)
    thread = slow.start()
    beside = [_tokens_per_second(server, num_streams) for _ in range(2)]
    peak = tree_memory_bytes(api)
    deadline = time.monotonic() + _LONGEST_S
    while len(slow.dropped_after_s) < num_readers and time.monotonic() < deadline:
        time.sleep(1)
    slow.stop()
    thread.join()
    return [
        Measure(name="tokens/s of the others, alone", rounds=alone),
        Measure(name="tokens/s of the others, beside them", rounds=beside),
        Measure(
            name="change, %",
            rounds=[100 * (statistics.mean(beside) / statistics.mean(alone) - 1)],
            goal=Goal(at_least=-3),
        ),
        Measure(name="the API grew by, MB", rounds=[(peak - before) / 1e6]),
        Measure(
            name="of the slow readers, dropped",
            rounds=[len(slow.dropped_after_s)],
            goal=Goal(at_least=num_readers),
        ),
        Measure(name="dropped after, s", rounds=list(slow.dropped_after_s.values()) or [0]),
        Measure(
            name=f"of {_NUM_RESUMED} of them, could resume after any event",
            rounds=[
                sum(can_resume(server.address, response_id, 7 * n) for n in range(_NUM_RESUMED))
            ],
            goal=Goal(at_least=_NUM_RESUMED),
        ),
    ]


def _tokens_per_second(server: Server, num_streams: int) -> float:
    return tokens_per_second(server.address, num_streams=num_streams, timeout_s=_LONGEST_S)


if __name__ == "__main__":
    typer.run(main)
