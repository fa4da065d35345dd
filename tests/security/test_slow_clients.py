"""Clients that send slowly or not at all: they are timed out, and hold no threads meanwhile."""

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from flask_openapi3.openapi import OpenAPI

from api.event_loop.loop import EventLoop
from api.serving import http_server
from api.serving.limits import ServingLimits
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S, eventually
from tests.security.raw_http import (
    HOST,
    ask,
    connected,
    error_in,
    is_open,
    read_head,
    read_to_end,
    status_of,
)

_MIB = 1 << 20
_LIVE = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
_CLOSING = _LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
_POST = b"POST /v1/responses HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
_QUICK = ServingLimits(
    head_s=0.3,
    keep_alive_s=0.3,
    body_grace_s=0.3,
    body_bytes_per_s=1000,
    body_s=1.0,
    sweep_s=0.05,
    max_connections=60,
    max_client_connections=60,
)

Serve = Callable[[ServingLimits], str]


@pytest.fixture
def serve(app: OpenAPI) -> Iterator[Serve]:
    """Return a function that serves the app within limits."""
    with ExitStack() as stack:
        yield lambda limits: stack.enter_context(serving(app, limits))


@pytest.mark.parametrize("begun", [b"", b"GET /livez HT", _LIVE[:-2]])
def test_a_head_that_does_not_come_is_answered_and_closed(serve: Serve, begun: bytes) -> None:
    with connected(serve(_QUICK)) as connection:
        connection.sendall(begun)
        answer = read_to_end(connection)

    assert status_of(answer) == 408
    assert error_in(answer)["code"] == "request_timeout"


def test_a_head_that_trickles_is_timed_out_too(serve: Serve) -> None:
    with connected(serve(_QUICK)) as connection:
        assert status_of(_trickle(connection.sendall, connection.recv, _LIVE * 9)) == 408


def test_an_idle_connection_is_closed(serve: Serve) -> None:
    with connected(serve(_QUICK)) as connection:
        connection.sendall(_LIVE)
        assert status_of(read_head(connection)) == 200
        connection.recv(1000)
        connection.sendall(_LIVE)
        assert status_of(read_head(connection)) == 200
        connection.recv(1000)

        assert read_to_end(connection) == b""


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"]
)
def test_a_body_below_the_floor_rate_is_timed_out(serve: Serve, framing: bytes) -> None:
    with connected(serve(_QUICK)) as connection:
        connection.sendall(_POST + framing)
        answer = _trickle(connection.sendall, connection.recv, b"{" + b" " * 99)

    assert status_of(answer) == 408
    assert error_in(answer)["type"] == "invalid_request_error"


def test_a_body_above_the_floor_rate_has_a_total_time(serve: Serve) -> None:
    began = time.monotonic()
    with connected(serve(_QUICK)) as connection:
        connection.sendall(_POST + b"Content-Length: 1000000\r\n\r\n")
        answer = _trickle(connection.sendall, connection.recv, b"{" + b" " * 9999, size=100)

    assert status_of(answer) == 408
    assert time.monotonic() - began > 0.9


def test_slow_clients_hold_no_threads(serve: Serve, app: OpenAPI) -> None:
    address = serve(ServingLimits())
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(connected(address))
            connection.sendall(_POST + b"Content-Length: 1000\r\n\r\n{")

        assert status_of(ask(address, _CLOSING)) == 200
        assert threading.active_count() < before + 10


def test_connections_beyond_the_cap_replace_those_that_wait_longest(serve: Serve) -> None:
    address = serve(ServingLimits(max_connections=20, max_client_connections=100))
    with ExitStack() as stack:
        waiting = [stack.enter_context(connected(address)) for _ in range(40)]
        for connection in waiting:
            connection.sendall(b"GET /livez HT")
        eventually(lambda: not is_open(waiting[0]))

        assert status_of(ask(address, _CLOSING)) == 200
        assert is_open(waiting[-1])


def test_one_address_cannot_take_all_connections(serve: Serve) -> None:
    address = serve(ServingLimits(max_client_connections=20))
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(address)).sendall(b"G")

        answer = ask(address, _CLOSING)

    assert status_of(answer) == 429
    assert error_in(answer)["type"] == "too_many_requests"
    eventually(lambda: status_of(ask(address, _CLOSING)) == 200)


def test_unfinished_bodies_stay_within_the_budget(serve: Serve, app: OpenAPI) -> None:
    address = serve(ServingLimits())
    budget = app.extensions["antiphon"].body_budget
    with ExitStack() as stack:
        refused = 0
        for _ in range(12):
            connection = stack.enter_context(connected(address))
            try:
                connection.sendall(_POST + b"Content-Length: 30000000\r\n\r\n" + b" " * 29_000_000)
                connection.settimeout(0.2)
                refused += status_of(connection.recv(1000)) == 429
            except TimeoutError:
                pass
            except ConnectionError:
                refused += 1

        assert refused >= 9
        assert budget.num_bytes <= 128 * _MIB
        answer = ask(address, _POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
        assert error_in(answer)["param"] == "input"

    eventually(lambda: budget.num_bytes == 0)


def test_a_body_without_room_is_refused_before_it_is_sent(serve: Serve, app: OpenAPI) -> None:
    address = serve(ServingLimits())
    budget = app.extensions["antiphon"].body_budget
    declared = _POST + b"Content-Length: 30000000\r\n\r\n"
    with connected(address) as first, connected(address) as second:
        first.sendall(declared + b" " * 29_000_000)
        eventually(lambda: budget.num_bytes == 29_000_000)

        second.sendall(declared)
        answer = read_to_end(second)

    assert status_of(answer) == 429
    assert b"Retry-After: " in answer
    eventually(lambda: budget.num_bytes == 0)


def test_liveness_needs_no_thread(serve: Serve, app: OpenAPI) -> None:
    address = serve(ServingLimits())
    loop: EventLoop = app.extensions["antiphon"].loop
    released = threading.Event()
    for _ in range(50):
        loop.call_soon(loop.requests.submit, released.wait, 30)
        loop.control.submit(released.wait, 30)
    try:
        assert status_of(ask(address, _CLOSING)) == 200
    finally:
        released.set()


def test_the_heap_is_trimmed_after_large_bodies(
    serve: Serve, app: OpenAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[None] = []
    monkeypatch.setattr(http_server, "trim_heap", lambda: trimmed.append(None))
    address = serve(ServingLimits(sweep_s=0.05))

    assert status_of(ask(address, _CLOSING)) == 200
    body = b'{"input": 1, "user": "' + b"a" * (2 * _MIB) + b'"}'
    head = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert status_of(ask(address, _POST + head + body)) == 400

    eventually(lambda: trimmed)
    assert len(trimmed) == 1


def test_a_client_that_does_not_read_its_answer_is_dropped(serve: Serve) -> None:
    limits = ServingLimits(stall_s=0.3, sweep_s=0.05, ahead_bytes=1 << 20)
    with connected(serve(limits)) as connection:
        connection.settimeout(0.5)
        get = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
        connection.sendall(get * 1000)
        poll = select.poll()
        poll.register(connection, 0)
        eventually(lambda: poll.poll(0))  # reset

        assert len(read_to_end(connection)) < 8 * _MIB


def _trickle(
    send: Callable[[bytes], object], receive: Callable[[int], bytes], data: bytes, size: int = 1
) -> bytes:
    """Send data in small pieces until an answer comes; return it."""
    answer: list[bytes] = []
    reader = threading.Thread(target=lambda: answer.append(receive(2000)))
    reader.start()
    for start in range(0, len(data), size):
        reader.join(0.02)
        if not reader.is_alive():
            break
        send(data[start : start + size])
    reader.join(PATIENCE_S)
    return answer[0]
