"""TLS on a real port: https and wss with a certificate of the server's own."""

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPSConnection
from pathlib import Path

import orjson
import pytest
from flask import request
from flask_openapi3.openapi import OpenAPI
from simple_websocket import Client

from api.serving.limits import ServingLimits
from models.settings import Settings
from models.tls import load_tls_context
from tests.certificates import TlsFiles
from tests.integration.conftest import MakeWorker
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S, eventually
from tests.security.raw_http import error_in, is_open, read_to_end, status_of

_CREATE = {"type": "response.create", "model": "default", "input": "Hi."}


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return TlsFiles.make(tmp_path)


@pytest.fixture
def trusting(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of a client that trusts the authority."""
    return ssl.create_default_context(cafile=files.authority)


@contextmanager
def served(app: OpenAPI, files: TlsFiles, limits: ServingLimits = ServingLimits()) -> Iterator[str]:
    settings = Settings(tls_cert_file=files.certificate, tls_key_file=files.key)
    with serving(app, limits, tls=load_tls_context(settings)) as address:
        yield address


@contextmanager
def connected(
    address: str, context: ssl.SSLContext | None = None, *, source: str = "127.0.0.1"
) -> Iterator[socket.socket]:
    """Connect to `host:port` from an address, with TLS if there is a context."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), 10, (source, 0)) as plain:
        if context is None:
            yield plain
            return
        with context.wrap_socket(plain, server_hostname=host) as wrapped:
            yield wrapped


def get(address: str, context: ssl.SSLContext, path: str = "/livez") -> int:
    with closing(HTTPSConnection(address, context=context, timeout=PATIENCE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def test_it_works(app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext) -> None:
    schemes: list[str] = []
    app.before_request(lambda: schemes.append(request.scheme))
    with (
        served(app, files) as address,
        closing(HTTPSConnection(address, context=trusting, timeout=PATIENCE_S)) as connection,
    ):
        for path in ("/livez", "/v1/models"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()

    assert schemes == ["https"] * 2


def test_responses_stream_and_websockets_work(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext, make_worker: MakeWorker
) -> None:
    make_worker()
    body = orjson.dumps({"model": "default", "input": "Hi.", "stream": True})
    with served(app, files) as address:
        with closing(HTTPSConnection(address, context=trusting, timeout=PATIENCE_S)) as connection:
            connection.request("POST", "/v1/responses", body, {"Content-Type": "application/json"})
            assert b"event: response.completed" in connection.getresponse().read()
        with closing(
            Client.connect(f"wss://{address}/v1/responses", ssl_context=trusting)
        ) as websocket:
            websocket.send(orjson.dumps(_CREATE).decode())
            types = [orjson.loads(websocket.receive(timeout=PATIENCE_S))["type"] for _ in range(3)]

    assert types[0] == "response.created"


def test_a_large_body_is_received(app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext) -> None:
    body = orjson.dumps({"model": "default", "input": "a" * (3 << 20), "background": 7})
    with (
        served(app, files) as address,
        closing(HTTPSConnection(address, context=trusting, timeout=PATIENCE_S)) as connection,
    ):
        connection.request("POST", "/v1/responses", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()

        assert answer.status == 400
        assert orjson.loads(answer.read())["error"]["param"] == "background"


def test_a_client_that_does_not_trust_the_authority_is_served_nothing(
    app: OpenAPI, files: TlsFiles
) -> None:
    with served(app, files) as address, pytest.raises(ssl.SSLCertVerificationError):
        get(address, ssl.create_default_context())


def test_requests_without_tls_are_not_answered(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext
) -> None:
    with served(app, files) as address:
        with connected(address) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in read_to_end(plain)

        assert get(address, trusting) == 200


def test_an_error_of_the_server_itself_can_be_read(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext
) -> None:
    with served(app, files) as address, connected(address, trusting) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = read_to_end(connection)

    assert status_of(answer) == 400
    assert error_in(answer)["code"] == "malformed_request"


def test_a_handshake_that_does_not_come_is_not_waited_for(app: OpenAPI, files: TlsFiles) -> None:
    with (
        served(app, files, ServingLimits(head_s=0.2)) as address,
        connected(address) as silent,
    ):
        assert read_to_end(silent) == b""


def test_one_client_has_half_of_all_handshakes(app: OpenAPI, files: TlsFiles) -> None:
    limits = ServingLimits(max_handshakes=4, head_s=60)
    with served(app, files, limits) as address, ExitStack() as stack:
        silent = [stack.enter_context(connected(address)) for _ in range(5)]

        eventually(lambda: [is_open(one) for one in silent] == [True] * 2 + [False] * 3)


def test_handshakes_that_do_not_come_keep_nobody_out(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext
) -> None:
    limits = ServingLimits(max_handshakes=4, head_s=60)
    with served(app, files, limits) as address, ExitStack() as stack:
        sources = ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2
        silent = [stack.enter_context(connected(address, source=source)) for source in sources]

        assert get(address, trusting) == 200
        eventually(lambda: [is_open(one) for one in silent] == [False] + [True] * 3)


@pytest.mark.parametrize("with_notice", [True, False])
def test_a_client_that_leaves_is_forgotten(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext, with_notice: bool
) -> None:
    places = app.extensions["antiphon"].places
    body = orjson.dumps({"model": "default", "input": "Hi.", "store": True})
    head = (
        "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with served(app, files) as address, connected(address, trusting) as connection:
        connection.sendall(head.encode() + body)
        eventually(lambda: places.num_taken == 1)

        if with_notice:
            assert isinstance(connection, ssl.SSLSocket)
            with suppress(OSError):  # the server may close without a notice of its own
                connection.unwrap()
        connection.close()

        eventually(lambda: places.num_taken == 0)


def test_a_client_that_does_not_read_its_answers_is_dropped(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext
) -> None:
    limits = ServingLimits(stall_s=0.3, sweep_s=0.05, ahead_bytes=1 << 20)
    with served(app, files, limits) as address, connected(address, trusting) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        poll = select.poll()
        poll.register(connection, 0)

        eventually(lambda: poll.poll(0))  # reset


def test_a_head_that_does_not_come_is_answered_and_closed(
    app: OpenAPI, files: TlsFiles, trusting: ssl.SSLContext
) -> None:
    limits = ServingLimits(head_s=0.3, sweep_s=0.05)
    with served(app, files, limits) as address, connected(address, trusting) as connection:
        connection.sendall(b"GET /livez HT")

        assert status_of(read_to_end(connection)) == 408
