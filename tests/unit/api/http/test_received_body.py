"""Bodies of requests are held once."""

import tracemalloc
from collections.abc import Iterator

import pytest
from werkzeug.test import EnvironBuilder

from api.http.received_body import ReceivedBody
from api.http.strict_json import StrictRequest

_MIB = 1 << 20
_SMALL = _MIB // 4


@pytest.fixture(autouse=True)
def traced_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held_bytes() -> int:
    return tracemalloc.get_traced_memory()[0]


def received(data: bytes) -> ReceivedBody:
    """Return a body that arrived in pieces of 64 KiB."""
    body = ReceivedBody()
    for start in range(0, len(data), 1 << 16):
        body.write(data[start : start + (1 << 16)])
    body.seek(0)
    return body


def test_taking_a_body_copies_nothing_and_keeps_nothing() -> None:
    data = bytes(range(256)) * (16 << 10)
    before = held_bytes()
    body = received(data)
    tracemalloc.reset_peak()

    taken = body.take()

    assert taken == data
    assert tracemalloc.get_traced_memory()[1] < before + len(data) * 1.2
    assert body.read() == b""
    del taken
    assert held_bytes() < before + _SMALL


def test_a_body_can_be_read_as_any_other_stream() -> None:
    body = received(b"abcdef")

    assert (body.read(2), body.read()) == (b"ab", b"cdef")


def test_a_parsed_request_does_not_hold_its_body() -> None:
    body = received(b'{"input": "' + b"a" * (8 * _MIB) + b'"}')
    environ = EnvironBuilder(method="POST", content_type="application/json").get_environ()
    request = StrictRequest(environ | {"wsgi.input": body, "wsgi.input_terminated": True})
    before = held_bytes()

    parsed = request.get_json()

    assert len(parsed["input"]) == 8 * _MIB
    assert held_bytes() < before + _SMALL
    assert request.get_json() is parsed
