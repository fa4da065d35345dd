"""Requests that are no HTTP: small errors in the one format, and a connection that is closed."""

import logging
from collections.abc import Iterator

import pytest
from flask_openapi3.openapi import OpenAPI

from tests.integration.http_server import serving
from tests.security.raw_http import HANDSHAKE, HOST, ask, error_in, status_of

_POST = b"POST /v1/responses HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def address(app: OpenAPI) -> Iterator[str]:
    with serving(app) as found:
        yield found


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", id="size that is no number"),
        pytest.param(_CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n", id="negative size"),
        pytest.param(_CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", id="size with a prefix"),
        pytest.param(_CHUNKED + b"f" * 40 + b"\r\n{}", id="size beyond any number"),
        pytest.param(_CHUNKED + b"2\r\n{}XX0\r\n\r\n", id="chunk without its end"),
        pytest.param(_CHUNKED + b"2;" + b"a" * 70_000, id="extension without end"),
        pytest.param(_CHUNKED + b"0\r\nno trailer\r\n\r\n", id="trailer without colon"),
        pytest.param(_CHUNKED + b"0\r\n\x00: x\r\n\r\n", id="trailer with a control character"),
        pytest.param(_POST + b"Content-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(_POST + b"Content-Length: 1_0\r\n\r\n", id="length with underscore"),
        pytest.param(_POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", id="lengths"),
        pytest.param(_POST + b"Transfer-Encoding: gzip\r\n\r\n", id="unknown encoding"),
        pytest.param(b"GET /livez HTTP/1.1\r\nno header\r\n" + HOST + b"\r\n", id="no header"),
        pytest.param(b"GET /livez HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET /livez HTTP/1.1\r\n" + HOST + b"Host: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /livez\r\n\r\n", id="no version"),
        pytest.param(b"GET livez HTTP/1.1\r\n" + HOST + b"\r\n", id="no path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
    ],
)
def test_what_is_no_http_is_refused(address: str, request_bytes: bytes) -> None:
    answer = ask(address, request_bytes)

    assert status_of(answer) in (400, 431)
    assert error_in(answer)["code"] in ("malformed_request", "headers_too_large")


def test_a_refusal_has_the_id_of_the_request(address: str) -> None:
    sent = _CHUNKED.replace(b"\r\n\r\n", b"\r\nx-request-id: mine-1\r\n\r\n")

    assert b"\r\nx-request-id: mine-1\r\n" in ask(address, sent + b"zz\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez?" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + HOST + b"".join(b"X%d: a\r\n" % n for n in range(9000)),
    ],
    ids=["path", "value", "number"],
)
def test_a_head_that_is_too_large_is_refused(address: str, head: bytes) -> None:
    answer = ask(address, head)

    assert status_of(answer) == 431
    assert error_in(answer)["code"] == "headers_too_large"


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(address: str) -> None:
    answer = ask(address, _POST + b"Content-Length: 99999999999\r\n\r\n{")

    assert status_of(answer) == 413
    assert error_in(answer)["code"] == "request_too_large"


def test_chunks_with_extensions_and_trailers_are_read(address: str) -> None:
    chunks = b"2;name=value\r\n{}\r\n0\r\nX-Trailer: x\r\n\r\n"

    answer = ask(address, _CHUNKED.replace(b"Content", b"Connection: close\r\nContent") + chunks)

    assert status_of(answer) == 400
    assert error_in(answer)["param"] == "input"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ=", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"!" * 24, 400),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 99", 426),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: x", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
        (b"/v1/responses", b"/v1/models", 400),
    ],
)
def test_what_is_no_websocket_handshake_is_refused(
    address: str, old: bytes, new: bytes, status: int
) -> None:
    closing = HANDSHAKE.replace(old, new).replace(b"Connection: ", b"Connection: close, ")

    answer = ask(address, closing)

    assert status_of(answer) == status
    assert error_in(answer)["type"] == "invalid_request_error"
    if status == 426:
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


@pytest.mark.parametrize("behind", [b"x", b"\0\r\n\r\n", b"GET /readyz HTTP/1.1\r\n\r\n"])
def test_what_comes_behind_the_last_request_is_ignored(
    address: str, behind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    closing = _POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"

    answer = ask(address, closing + behind)

    assert status_of(answer) == 400
    assert error_in(answer)["param"] == "input"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_header_with_underscores_cannot_stand_in_for_another(address: str) -> None:
    head = b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\nX_Request_Id: forged\r\n\r\n"

    answer = ask(address, head)

    assert status_of(answer) == 200
    assert b"forged" not in answer
