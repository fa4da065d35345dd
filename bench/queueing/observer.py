"""Separate process that timestamps events as Redis publishes them.

All processes of a machine share the monotonic clock, so its timestamps compare with the clients'.
"""

import contextlib
import multiprocessing
import os
import selectors
import socket
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from urllib.parse import unquote, urlsplit
from uuid import UUID

from models.streams.event_log import parse_message

Published = dict[tuple[UUID, int], float]
"""Monotonic time in seconds, by response id and sequence number."""

_RECEIVE = 1 << 20
_CHANNELS = "antiphon:events:*"


class Observer:
    """Subscriber that timestamps every event between `start` and `stop`."""

    def __init__(self, redis_url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_observe, args=(redis_url, other), daemon=True)

    def start(self) -> None:
        """Start the process, and return once it is subscribed."""
        self._process.start()
        self._pipe.recv()

    def stop(self) -> Published:
        """Stop the process; return the time of every event published since `start`."""
        self._pipe.send(None)
        published: Published = self._pipe.recv()
        self._process.join()
        return published


def _observe(redis_url: str, pipe: Connection) -> None:
    # If this process were scheduled late, the API would look faster than it is.
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    with _subscribe(redis_url) as subscription:
        pipe.send(None)
        chunks, stamps = _listen(subscription, pipe)
    pipe.send(dict(_published(chunks, stamps)))


def _subscribe(redis_url: str) -> socket.socket:
    """Subscribe on a plain socket: a client library would parse, and delay the timestamps."""
    url = urlsplit(redis_url)
    connection = socket.create_connection((url.hostname or "127.0.0.1", url.port or 6379))
    if url.password:
        user = unquote(url.username or "default")
        connection.sendall(_command("AUTH", user, unquote(url.password)))
        connection.recv(_RECEIVE)
    connection.sendall(_command("PSUBSCRIBE", _CHANNELS))
    connection.recv(_RECEIVE)
    return connection


def _command(*words: str) -> bytes:
    parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{parts}".encode()


def _listen(connection: socket.socket, pipe: Connection) -> tuple[list[bytes], list[float]]:
    chunks: list[bytes] = []
    stamps: list[float] = []
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(pipe, selectors.EVENT_READ)
        while connection in (readable := [key.fileobj for key, _ in selector.select()]):
            chunks.append(connection.recv(_RECEIVE))
            stamps.append(time.monotonic())
    assert readable == [pipe]
    return chunks, stamps


def _published(
    chunks: list[bytes], stamps: list[float]
) -> Iterator[tuple[tuple[UUID, int], float]]:
    """Yield each event with the timestamp of the chunk in which its message ended."""
    received = b"".join(chunks)
    position, chunk, chunk_end = 0, -1, 0
    while position < len(received):
        (*_, channel, payload), position = _message(received, position)
        while chunk_end < position:
            chunk += 1
            chunk_end += len(chunks[chunk])
        response_id = UUID(hex=channel.rpartition(b":")[2].decode())
        for event in parse_message(payload):
            yield (response_id, event.sequence_number), stamps[chunk]


def _message(received: bytes, position: int) -> tuple[list[bytes], int]:
    """Return the strings of one RESP array, and the position after it."""
    count, position = _length(received, position)
    strings: list[bytes] = []
    for _ in range(count):
        length, position = _length(received, position)
        strings.append(received[position : position + length])
        position += length + len(b"\r\n")
    return strings, position


def _length(received: bytes, position: int) -> tuple[int, int]:
    """Return the number in a RESP header such as `$17`, and the position after its line."""
    end = received.index(b"\r\n", position)
    return int(received[position + 1 : end]), end + len(b"\r\n")
