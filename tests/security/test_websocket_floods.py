"""WebSockets of clients that flood: memory and work of one connection are bounded."""

import gc
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from flask_openapi3.openapi import OpenAPI

from api.serving.limits import ServingLimits
from models.settings import Settings
from tests.integration.conftest import running_app
from tests.integration.http_server import serving
from tests.polling import eventually
from tests.security.raw_http import (
    HANDSHAKE,
    ask,
    close_code,
    connected,
    frame,
    open_websocket,
    read_head,
    read_to_end,
    status_of,
)

_MIB = 1 << 20
_TOO_MANY = b'"code":"too_many_streams"'
_CREATE = b'{"type":"response.create","input":"Hello."}'
_LARGE = b'{"type":"response.create","input":"Hello.","user":"' + b"x" * (2 * _MIB) + b'"}'


@pytest.fixture
def address(app: OpenAPI) -> Iterator[str]:
    with serving(app, ServingLimits(stall_s=0.3, sweep_s=0.05)) as found:
        yield found


def test_bad_frames_whose_answers_are_not_read_end_the_connection(
    address: str, app: OpenAPI
) -> None:
    with open_websocket(address) as connection:
        _send_all(connection.sendall, frame(b"{") * 60_000)

        assert close_code(read_to_end(connection)) == 1008


def test_large_messages_sent_ahead_end_the_connection(address: str, app: OpenAPI) -> None:
    budget = app.extensions["antiphon"].body_budget
    with open_websocket(address) as connection:
        _send_all(connection.sendall, frame(_CREATE) + frame(_LARGE) * 10)

        assert close_code(read_to_end(connection)) == 1008
    eventually(lambda: budget.num_bytes == 0)


@pytest.mark.parametrize("streams", [1, 20], ids=["of one stream", "of many"])
def test_requests_sent_ahead_end_the_connection(address: str, app: OpenAPI, streams: int) -> None:
    budget, places = app.extensions["antiphon"].body_budget, app.extensions["antiphon"].places
    sent = b"".join(frame(_create_on(f"agent_{number % streams}")) for number in range(60))
    with open_websocket(address) as connection:
        _send_all(connection.sendall, sent)

        assert close_code(read_to_end(connection)) == 1008
    eventually(lambda: budget.num_bytes == places.num_taken == 0)


def test_streams_of_one_connection_leave_places_to_others(settings: Settings) -> None:
    narrow = settings.model_copy(update={"api_streams": 24, "api_client_streams": 6})
    with running_app(narrow) as app, serving(app) as address:
        places = app.extensions["antiphon"].places
        with open_websocket(address) as connection:
            for number in range(16):
                connection.sendall(frame(_create_on(f"agent_{number}")))
            received = b""
            while received.count(b"response.created") < 6 or received.count(_TOO_MANY) < 10:
                received += connection.recv(1 << 16)

            assert received.count(b"response.created") == places.num_taken == 6
            with places.reserve("another client", "other"):
                pass
        eventually(lambda: places.num_taken == 0)


@pytest.mark.usefixtures("worker")
def test_events_of_many_streams_that_are_not_read_end_the_connection(
    address: str, app: OpenAPI
) -> None:
    places = app.extensions["antiphon"].places
    resume = b'{"type":"response.steer","stream_id":"agent_%d","input":"' + b"x" * 60_000 + b'"}'
    with open_websocket(address) as connection:
        _send_all(connection.sendall, b"".join(frame(resume % (n % 32)) for n in range(500)))
        eventually(lambda: places.num_taken == 0)
        assert len(read_to_end(connection)) < 8 * _MIB


@pytest.mark.parametrize("is_last", [True, False])
def test_a_message_is_measured_while_it_arrives(address: str, app: OpenAPI, is_last: bool) -> None:
    budget = app.extensions["antiphon"].body_budget
    with open_websocket(address) as connection:
        _send_all(connection.sendall, frame(b" " * (33 * _MIB), is_last=is_last))

        assert close_code(read_to_end(connection)) == 1009
    eventually(lambda: budget.num_bytes == 0)


def test_fragments_of_many_connections_stay_within_the_budget(address: str, app: OpenAPI) -> None:
    budget = app.extensions["antiphon"].body_budget
    with ExitStack() as stack:
        opened = [stack.enter_context(open_websocket(address)) for _ in range(8)]
        for connection in opened:
            _send_all(connection.sendall, frame(b" " * (30 * _MIB), is_last=False))

        assert budget.num_bytes <= 128 * _MIB
        assert close_code(read_to_end(opened[-1])) == 1013
    eventually(lambda: budget.num_bytes == 0)


@pytest.fixture
def traced_memory() -> Iterator[Callable[[], int]]:
    """Return a function that tells how many bytes are allocated, while no garbage is collected.

    Must be the first fixture of a test, so that it ends last: before Python 3.12.9,
    `tracemalloc.stop` can crash while another thread allocates.
    """
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    gc.enable()


@pytest.mark.parametrize(
    "sent",
    [
        frame(b" " * (20 * _MIB), is_last=False),
        frame(b'{"type":"response.create","input":1,"user":"' + b"a" * (20 * _MIB) + b'"}'),
        frame(b" " * (20 * _MIB))[: 19 * _MIB],
    ],
    ids=["a fragment", "a whole message", "a part of a frame"],
)
def test_the_memory_of_a_message_is_free_once_its_connection_is_closed(
    traced_memory: Callable[[], int], address: str, app: OpenAPI, sent: bytes
) -> None:
    budget = app.extensions["antiphon"].body_budget
    before = traced_memory()
    with open_websocket(address) as connection:
        _send_all(connection.sendall, sent)
        eventually(lambda: budget.num_bytes > 0 or close_code(connection.recv(1 << 16)))

    eventually(lambda: budget.num_bytes == 0)
    eventually(lambda: traced_memory() < before + 2 * _MIB)


def test_compression_is_not_negotiated_and_not_taken(address: str) -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = packed.compress(b"\0" * (64 * _MIB)) + packed.flush(zlib.Z_SYNC_FLUSH)[:-4]
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    with connected(address) as connection:
        connection.sendall(HANDSHAKE.replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n", 1))
        assert b"permessage-deflate" not in read_head(connection)
        _send_all(connection.sendall, frame(small, rsv1=True))

        assert close_code(read_to_end(connection)) == 1002


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(b"", opcode=9) * 50_000, id="pings"),
        pytest.param(frame(b"", opcode=10) * 50_000, id="pongs"),
        pytest.param(
            frame(b"", is_last=False) + frame(b"", opcode=0, is_last=False) * 50_000,
            id="empty fragments",
        ),
    ],
)
def test_frames_without_content_are_counted(address: str, flood: bytes) -> None:
    with open_websocket(address) as connection:
        _send_all(connection.sendall, flood)

        assert close_code(read_to_end(connection)) == 1008


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"\xff\xfe"), 1007),
        (frame(b"x", opcode=3), 1002),
        (frame(b"x", opcode=0), 1002),
        (frame(b"x" * 126, opcode=9), 1002),
        (bytes([0x81, 0x01]) + b"x", 1002),
    ],
    ids=["no UTF-8", "opcode", "continuation of nothing", "long ping", "no mask"],
)
def test_a_frame_that_violates_the_protocol_ends_the_connection(
    address: str, sent: bytes, code: int
) -> None:
    with open_websocket(address) as connection:
        connection.sendall(sent)

        assert close_code(read_to_end(connection)) == code


@pytest.mark.usefixtures("worker")
def test_events_that_are_not_read_end_the_connection(address: str, app: OpenAPI) -> None:
    places = app.extensions["antiphon"].places
    with open_websocket(address) as connection:
        _send_all(connection.sendall, frame(b'{"type":"' + b"x" * 60_000 + b'"}') * 200)
        eventually(lambda: places.num_taken == 0)
        assert len(read_to_end(connection)) < 8 * _MIB


def test_idle_websockets_leave_places_and_threads_to_others(settings: Settings) -> None:
    wide = settings.model_copy(update={"api_streams": 200, "api_client_streams": 100})
    with running_app(wide) as app, serving(app) as address, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(open_websocket(address))
        places = app.extensions["antiphon"].places
        eventually(lambda: places.num_taken == 100)
        with connected(address) as connection:
            connection.sendall(HANDSHAKE)
            read_head(connection)
            assert b"too_many_streams" in read_to_end(connection)
        with places.reserve("another client", "other"):
            live = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            assert status_of(ask(address, live)) == 200
    eventually(lambda: places.num_taken == 0)


def _create_on(stream_id: str) -> bytes:
    """Return a request on a stream."""
    return _CREATE.replace(b"}", b',"stream_id":"%b"}' % stream_id.encode())


def _send_all(send: Callable[[bytes], object], data: bytes) -> None:
    """Send what the server takes before it ends the connection."""
    with suppress(ConnectionError, TimeoutError):
        send(data)


def test_a_close_is_noticed_while_a_request_waits(address: str, app: OpenAPI) -> None:
    places = app.extensions["antiphon"].places
    with open_websocket(address) as connection:
        connection.sendall(frame(_CREATE))
        connection.recv(1)
        connection.sendall(frame((1000).to_bytes(2), opcode=8))

        assert read_to_end(connection).endswith(b"\x88\x02\x03\xe8")
        eventually(lambda: places.num_taken == 0)
