"""When events are published: a process of its own that listens beside the API.

The monotonic clock is one for the whole machine, so its stamps compare with those of the clients.
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
"""(response, sequence number) → seconds on the monotonic clock."""

_RECEIVE = 1 << 20
_CHANNELS = "antiphon:events:*"


class Observer:
    """Notes every event from `start` until `stop`."""

    def __init__(self, redis_url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_observe, args=(redis_url, other), daemon=True)

    def start(self) -> None:
        """Return once it is subscribed."""
        self._process.start()
        self._pipe.recv()

    def stop(self) -> Published:
        """What was published since, and when."""
        self._pipe.send(None)
        published: Published = self._pipe.recv()
        self._process.join()
        return published


def _observe(redis_url: str, pipe: Connection) -> None:
    # Were it scheduled late, the API would look faster than it is.
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    with _subscribed(redis_url) as subscription:
        pipe.send(None)
        chunks, stamps = _listen(subscription, pipe)
    pipe.send(dict(_published(chunks, stamps)))


def _subscribed(redis_url: str) -> socket.socket:
    """A bare connection: a client library would parse, and be late, while messages wait."""
    where = urlsplit(redis_url)
    connection = socket.create_connection((where.hostname or "127.0.0.1", where.port or 6379))
    if where.password:
        user = unquote(where.username or "default")
        connection.sendall(_command("AUTH", user, unquote(where.password)))
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
    """Each event with the stamp of the chunk in which its message ended."""
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
    """The strings of one RESP array, and where the next begins."""
    count, position = _length(received, position)
    strings: list[bytes] = []
    for _ in range(count):
        length, position = _length(received, position)
        strings.append(received[position : position + length])
        position += length + len(b"\r\n")
    return strings, position


def _length(received: bytes, position: int) -> tuple[int, int]:
    """The number of a RESP header such as `$17`, and where the next line begins."""
    end = received.index(b"\r\n", position)
    return int(received[position + 1 : end]), end + len(b"\r\n")
