"""Requests to one server through the guarded transport: real sockets, fake host names."""

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest

from models.fetching.destinations import Destinations, UrlRefusedError
from models.fetching.transport import GuardedTransport
from tests.integration.receiver import ALLOWED, Receiver
from tests.unit.models.fetching.test_outbound_client import serve_once

HERE = Destinations([ip_network(ALLOWED)])


def get(
    url: str,
    *,
    base: str | None = None,
    destinations: Destinations = HERE,
    max_bytes: int = 1000,
    timeout_s: float = 5,
    follow: bool = False,
) -> httpx2.Response:
    """Send a GET request through a transport to the server of `base`."""

    async def send() -> httpx2.Response:
        transport = GuardedTransport(base or url, destinations, owner="p", max_bytes=max_bytes)
        async with httpx2.AsyncClient(
            transport=transport, timeout=timeout_s, follow_redirects=follow
        ) as client:
            return await client.get(url)

    return asyncio.run(send())


def serve_body(body: bytes) -> Any:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    return serve


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return a list of the addresses that a host name resolves to at each look-up in turn."""
    answers: list[list[str]] = []

    def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in answers.pop(0)]

    monkeypatch.setattr("models.fetching.resolver.socket.getaddrinfo", getaddrinfo)
    return answers


def test_it_works() -> None:
    with serve_once(serve_body(b"hello")) as port:
        assert get(f"http://127.0.0.1:{port}/mcp").text == "hello"


def test_a_larger_body_than_is_allowed_ends_in_an_error() -> None:
    with (
        serve_once(serve_body(b"x" * 1001)) as port,
        pytest.raises(httpx2.ReadError, match="too large"),
    ):
        get(f"http://127.0.0.1:{port}/mcp")


@pytest.mark.parametrize("url", ["https://10.0.0.1/mcp", "http://8.8.8.8/mcp", "https://[::1]/"])
def test_a_url_that_is_not_public_is_refused_at_once(url: str) -> None:
    with pytest.raises(UrlRefusedError):
        GuardedTransport(url, Destinations(), owner="p", max_bytes=1)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "169.254.169.254"]])
def test_a_name_with_any_address_inside_is_not_connected_to(
    resolves: list[list[str]], addresses: list[str]
) -> None:
    with Receiver() as receiver:
        resolves.append(addresses)

        with pytest.raises(httpx2.ConnectError, match="not open to the internet"):
            get(f"http://mcp.example:{receiver.port}/")

        assert receiver.received == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    resolves: list[list[str]],
) -> None:
    with serve_once(serve_body(b"hello")) as port:
        resolves += [["127.0.0.1"], ["10.0.0.1"]]

        assert get(f"http://mcp.example:{port}/").text == "hello"

        assert len(resolves) == 1


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2:{port}/", "http://127.0.0.1:1/", "https://127.0.0.1:{port}/"]
)
def test_a_redirect_to_another_origin_is_not_followed_even_if_the_client_would(
    location: str,
) -> None:
    def redirect(connection: socket.socket) -> None:
        connection.recv(65536)
        target = location.format(port=connection.getsockname()[1]).encode()
        head = b"HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\nlocation: "
        connection.sendall(head + target + b"\r\n\r\n")

    with (
        serve_once(redirect) as port,
        pytest.raises(httpx2.UnsupportedProtocol, match="origin"),
    ):
        get(f"http://127.0.0.1:{port}/mcp", follow=True)


def test_errors_tell_no_addresses() -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with serve_once(hang_up) as port, pytest.raises(httpx2.ReadError) as raised:
        get(f"http://127.0.0.1:{port}/mcp")
    with pytest.raises(httpx2.ConnectError) as refused:
        get("http://127.0.0.1:1/mcp")

    assert "127.0.0.1" not in f"{raised.value} {refused.value}"


def test_a_server_that_is_silent_is_not_waited_for() -> None:
    def be_silent(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.recv(65536)

    with serve_once(be_silent) as port, pytest.raises(httpx2.ReadTimeout):
        get(f"http://127.0.0.1:{port}/mcp", timeout_s=0.2)


def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serve_once(serve_body(b"hello")) as port:
        assert get(f"http://127.0.0.1:{port}/mcp").text == "hello"
