import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from models.fetching.resolver import Resolver, UnresolvedError
from tests.polling import PATIENCE_S, eventually


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let look-ups of `hang…` hang until the event is set; others resolve to 192.0.2.1."""
    released = threading.Event()

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        if host.startswith("hang"):
            assert released.wait(PATIENCE_S)
        if host == "none":
            raise socket.gaierror
        return [(0, 0, 0, "", ("192.0.2.1", port))]

    monkeypatch.setattr("models.fetching.resolver.socket.getaddrinfo", getaddrinfo)
    yield released
    released.set()


@pytest.mark.usefixtures("release")
def test_it_works() -> None:
    assert Resolver().submit("a", "host", 443).result(PATIENCE_S) == [ip_address("192.0.2.1")]
    assert isinstance(Resolver().submit("a", "none", 443).result(PATIENCE_S), UnresolvedError)


def test_look_ups_of_one_name_share_a_thread(release: threading.Event) -> None:
    resolver = Resolver(max_per_owner=1)
    first, second = (resolver.submit("a", "hang", 443) for _ in range(2))
    assert first is second

    release.set()

    assert first.result(PATIENCE_S) == [ip_address("192.0.2.1")]


@pytest.mark.usefixtures("release")
def test_an_owner_whose_look_ups_hang_takes_no_thread_from_others() -> None:
    resolver = Resolver(max_per_owner=2)
    for number in range(2):
        resolver.submit("a", f"hang-{number}", 443)

    assert isinstance(resolver.submit("a", "host", 443).result(PATIENCE_S), UnresolvedError)
    assert resolver.submit("b", "host", 443).result(PATIENCE_S) == [ip_address("192.0.2.1")]


def test_an_owner_whose_look_ups_ended_may_go_on(release: threading.Event) -> None:
    resolver = Resolver(max_per_owner=1)
    hanging = resolver.submit("a", "hang", 443)
    release.set()
    hanging.result(PATIENCE_S)

    eventually(lambda: isinstance(resolver.submit("a", "host", 443).result(PATIENCE_S), list))


@pytest.mark.usefixtures("release")
def test_all_look_ups_together_are_limited() -> None:
    resolver = Resolver(max_look_ups=2)
    for owner in "ab":
        resolver.submit(owner, "hang", 443)

    assert isinstance(resolver.submit("c", "host", 443).result(PATIENCE_S), UnresolvedError)


def test_a_waiter_that_gives_up_cancels_no_other(release: threading.Event) -> None:
    resolver = Resolver()
    first, second = (resolver.submit("a", "hang", 443) for _ in range(2))

    assert not first.cancel()
    release.set()

    assert second.result(PATIENCE_S) == [ip_address("192.0.2.1")]
