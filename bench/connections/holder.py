"""Separate process that holds many streams open, and notes when their events arrive.

Events carry the monotonic time of their publication, which all processes of a machine share.
"""

import base64
import multiprocessing
import os
import re
import selectors
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Literal

from bench.client.load import Address, post_request
from bench.server import BenchError

Kind = Literal["sse", "websocket"]

STAMP = re.compile(rb'"delta":"(\d{10,})"')
_NUMBER = re.compile(rb'"sequence_number":(\d+)')
_ID = re.compile(rb'"id":"(resp_[0-9a-f]+)"')
_OPEN_S = 120.0
_AT_ONCE = 50
_RECEIVE = 1 << 16
_BODY = b'{"input":"Hello.","background":true,"stream":true}'
_TURN = b'{"type":"response.create","input":"Hello."}'


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Stream that is open, with the number of its next event."""

    response_id: str
    next_number: int


@dataclass(slots=True)
class Arrivals:
    """Events that have arrived, and streams that the server has ended."""

    delays_s: list[float] = field(default_factory=list)
    num_ended: int = 0


class Holder:
    """Process with many open streams."""

    def __init__(self, address: Address, kind: Kind, num_streams: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_hold, args=(address, kind, num_streams, other), daemon=True
        )

    def open(self) -> list[OpenStream]:
        """Start the process; return the streams once all are open, or as many as can be."""
        self._process.start()
        streams: list[OpenStream] = self._pipe.recv()
        return streams

    def stop(self) -> Arrivals:
        """Close all streams; return what has arrived since they were opened."""
        self._pipe.send(None)
        arrivals: Arrivals = self._pipe.recv()
        self._process.join()
        return arrivals


def _hold(address: Address, kind: Kind, num_streams: int, pipe: Connection) -> None:
    request = _request(kind)
    connections: list[socket.socket] = []
    streams: list[OpenStream] = []
    while len(streams) < num_streams:
        batch = [socket.create_connection(address) for _ in range(_AT_ONCE)]
        for connection in batch:
            connection.sendall(request)
        opened = [_await_opening(connection, kind) for connection in batch]
        connections += batch
        streams += [stream for stream in opened if stream is not None]
        if None in opened:
            break
    pipe.send(streams)
    pipe.send(_receive(connections, pipe))


def _request(kind: Kind) -> bytes:
    if kind == "sse":
        return post_request("/v1/responses", _BODY)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["Upgrade: websocket", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    head = "GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    mask = bytes(4)
    frame = bytes([0x81, 0x80 | len(_TURN)]) + mask + _TURN
    return (head + "\r\n".join(lines) + "\r\n\r\n").encode() + frame


def _await_opening(connection: socket.socket, kind: Kind) -> OpenStream | None:
    """Read up to the last event that precedes the worker's; None if the stream is refused."""
    connection.settimeout(_OPEN_S)
    last = b"response.queued" if kind == "sse" else b"response.created"
    received = b""
    while (position := received.find(b'"type":"' + last)) < 0 or received[-1:] not in b"}\n":
        data = connection.recv(_RECEIVE)
        if not data or b"server_overloaded" in received or b"too_many" in received:
            return None
        received += data
    found, number = _ID.search(received), _NUMBER.search(received, position)
    if found is None or number is None:
        raise BenchError(f"no opening event in {received[:500]!r}")
    return OpenStream(found[1].decode(), int(number[1]) + 1)


def _receive(connections: list[socket.socket], pipe: Connection) -> Arrivals:
    arrivals = Arrivals()
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        selector.register(pipe, selectors.EVENT_READ)
        while pipe not in (readable := [key.fileobj for key, _ in selector.select()]):
            for ready in readable:
                assert isinstance(ready, socket.socket)
                _read(ready, selector, arrivals)
    for connection in connections:
        connection.close()
    return arrivals


def _read(connection: socket.socket, selector: selectors.BaseSelector, arrivals: Arrivals) -> None:
    try:
        data = connection.recv(_RECEIVE)
    except ConnectionError:
        data = b""
    if not data:
        selector.unregister(connection)
        arrivals.num_ended += 1
        return
    now = time.monotonic()
    arrivals.delays_s += [now - int(stamp) / 1e9 for stamp in STAMP.findall(data)]
