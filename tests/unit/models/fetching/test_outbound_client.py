"""Requests to URLs chosen by others: real sockets on this machine, fake host names."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from models.fetching.checked_backend import OutboundError
from models.fetching.destinations import Destinations, UrlRefusedError
from models.fetching.outbound_client import OutboundClient
from tests.certificates import make_certificate
from tests.integration.receiver import ALLOWED, Receiver

HERE = Destinations([ip_network(ALLOWED)])


def post(url: str, destinations: Destinations = HERE, *, total_s: float = 5) -> int:
    client = OutboundClient(destinations, total_s=total_s)
    return asyncio.run(client.post(url, body=b"{}", headers={"content-type": "application/json"}))


@contextmanager
def serve_once(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port and serve one connection with the given function; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return a list of the addresses that the host name resolves to at each look-up in turn."""
    answers: list[list[str]] = []

    def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in answers.pop(0)]

    monkeypatch.setattr("models.fetching.resolver.socket.getaddrinfo", getaddrinfo)
    return answers


def test_it_works() -> None:
    with Receiver() as receiver:
        receiver.answer = lambda _: 202

        assert post(receiver.url) == 202

        [got] = receiver.received
        assert (got.path, got.body) == ("/hook", b"{}")


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    with Receiver() as receiver:
        receiver.answer, receiver.location = lambda _: 307, receiver.url

        assert post(receiver.url) == 307

        assert len(receiver.received) == 1


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    names: list[list[str]],
) -> None:
    with Receiver() as receiver:
        names += [["127.0.0.1"], ["10.0.0.1"]]

        assert post(f"http://hook.example:{receiver.port}/") == 200

        [got] = receiver.received
        assert got.headers["host"] == f"hook.example:{receiver.port}"
        assert len(names) == 1


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["fc00::1"]])
def test_a_name_with_any_address_inside_is_not_connected_to(
    names: list[list[str]], addresses: list[str]
) -> None:
    with Receiver() as receiver:
        names.append(addresses)

        with pytest.raises(UrlRefusedError):
            post(f"http://hook.example:{receiver.port}/")

        assert receiver.received == []


def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with Receiver() as receiver:
        assert post(receiver.url) == 200


def test_a_name_that_does_not_resolve_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr("models.fetching.resolver.socket.getaddrinfo", fail)

    with pytest.raises(OutboundError, match="does not resolve"):
        post("http://hook.example/")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a file with a self-signed certificate for hook.example and its key."""
    made = make_certificate("hook.example")
    path = tmp_path / "hook.pem"
    path.write_bytes(made.certificate + made.key)
    return path


@pytest.mark.parametrize(
    ("host", "is_trusted", "is_reached"),
    [
        ("hook.example", True, True),
        ("hook.example", False, False),
        ("other.example", True, False),
    ],
)
def test_a_certificate_must_be_trusted_and_name_the_host(
    names: list[list[str]],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    is_trusted: bool,
    is_reached: bool,
) -> None:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names.append(["127.0.0.1"])
    with Receiver(certificate) as receiver:
        url = f"https://{host}:{receiver.port}/"

        if is_reached:
            assert post(url) == 200
        else:
            with pytest.raises(OutboundError, match="no connection"):
                post(url)

        assert bool(receiver.received) == is_reached


def _say_nothing(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass


def _drip(connection: socket.socket) -> None:
    """Send a header that never ends, one byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    waiting = threading.Event()
    try:
        while not waiting.wait(0.02):
            connection.sendall(b"a")
    except OSError:
        return


@pytest.mark.parametrize("serve", [_say_nothing, _drip])
def test_a_receiver_that_is_slow_is_left_after_the_time_limit(
    serve: Callable[[socket.socket], None],
) -> None:
    with serve_once(serve) as port, pytest.raises(OutboundError, match=r"within 0\.2 s"):
        post(f"http://127.0.0.1:{port}/", total_s=0.2)


def _answer_endlessly(connection: socket.socket) -> None:
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    try:
        while True:
            connection.sendall(b"400\r\n" + b"a" * 1024 + b"\r\n")
    except OSError:
        return


def test_the_body_of_an_answer_is_not_read() -> None:
    with serve_once(_answer_endlessly) as port:
        assert post(f"http://127.0.0.1:{port}/") == 200


def _answer_nonsense(connection: socket.socket) -> None:
    connection.recv(1024)
    connection.sendall(b"hello\r\n\r\n")


def _hang_up(connection: socket.socket) -> None:
    connection.recv(1024)


@pytest.mark.parametrize("serve", [_answer_nonsense, _hang_up])
def test_what_is_no_answer_is_an_error(serve: Callable[[socket.socket], None]) -> None:
    with serve_once(serve) as port, pytest.raises(OutboundError, match="no connection"):
        post(f"http://127.0.0.1:{port}/")
