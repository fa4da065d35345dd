"""Streaming clients that only timestamp what they receive, and parse it when all have ended.

Requests are HTTP/1.0, as nginx sends them, so that a stream ends with its connection.
"""

import bisect
import re
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import orjson

from bench.client.load import Address

_RECEIVE = 1 << 16
_FRAME = re.compile(rb"^event: (\S+)\r?\ndata: (.*?)\r?\n\r?\n", re.MULTILINE)
_DELTA = "response.output_text.delta"
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Server-sent event; `arrived_at` is the monotonic time at which its last byte arrived."""

    arrived_at: float
    type: str
    data: bytes

    @property
    def sequence_number(self) -> int:
        """Sequence number assigned by the server."""
        return int(orjson.loads(self.data)["sequence_number"])


@dataclass(slots=True)
class Stream:
    """Chunks that one client received, and the monotonic time of each in `stamps`."""

    sent_at: float
    chunks: list[bytes] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)

    def events(self) -> list[StreamEvent]:
        """Return the events in order of arrival."""
        ends = list(accumulate(map(len, self.chunks)))
        return [
            StreamEvent(
                self.stamps[bisect.bisect_left(ends, match.end())],
                match[1].decode(),
                match[2],
            )
            for match in _FRAME.finditer(b"".join(self.chunks))
        ]


def stream_request(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON whose answer is a stream."""
    head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def run_streams(
    address: Address, requests: Sequence[bytes], *, per_second: float, timeout_s: float
) -> list[Stream]:
    """Open a stream per request, `per_second` of them a second, and read all to their end.

    Streams that have not ended after `timeout_s` seconds are returned incomplete.
    """
    streams: list[Stream] = []
    with selectors.DefaultSelector() as selector:
        began = time.monotonic()
        while len(streams) < len(requests) or selector.get_map():
            elapsed_s = time.monotonic() - began
            if elapsed_s > timeout_s:
                break
            while len(streams) < min(len(requests), 1 + elapsed_s * per_second):
                streams.append(_open(selector, address, requests[len(streams)]))
            for key, _ in selector.select(1 / per_second):
                _receive(selector, key)
        for key in list(selector.get_map().values()):
            _close(selector, key)
    return streams


def is_delta(event: StreamEvent) -> bool:
    """Return True if the event carries text."""
    return event.type == _DELTA


def has_all(events: Sequence[StreamEvent], num_deltas: int) -> bool:
    """Return True if a stream is complete.

    Its sequence numbers have no gap, it has `num_deltas` deltas, and it ends with a terminal event.
    """
    return (
        [event.sequence_number for event in events] == list(range(len(events)))
        and sum(map(is_delta, events)) == num_deltas
        and events[-1].type in _TERMINAL
    )


def first_delta_s(stream: Stream) -> float | None:
    """Return the seconds from sending the request to its first text; None if there was none."""
    arrivals = (event.arrived_at for event in stream.events() if is_delta(event))
    first = next(arrivals, None)
    return None if first is None else first - stream.sent_at


def _open(selector: selectors.BaseSelector, address: Address, request: bytes) -> Stream:
    connection = socket.create_connection(address)
    stream = Stream(sent_at=time.monotonic())
    connection.sendall(request)
    selector.register(connection, selectors.EVENT_READ, stream)
    return stream


def _receive(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    assert isinstance(key.fileobj, socket.socket)
    data = key.fileobj.recv(_RECEIVE)
    if not data:
        _close(selector, key)
        return
    stream: Stream = key.data
    stream.stamps.append(time.monotonic())
    stream.chunks.append(data)


def _close(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    assert isinstance(key.fileobj, socket.socket)
    selector.unregister(key.fileobj)
    key.fileobj.close()
