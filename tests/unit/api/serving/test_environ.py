"""WSGI environment of a request."""

import io
from typing import Any

import h11
import pytest

from api.http.body_budget import BodyBudget
from api.http.forwarded import Source
from api.http.protocol_errors import MalformedRequestError
from api.serving.environ import Peers, make_environ

CLIENT = Source(client="10.0.0.9")


def environ_of(
    target: bytes, *headers: tuple[bytes, bytes], source: Source = CLIENT, is_tls: bool = False
) -> dict[str, Any]:
    request = h11.Request(
        method="GET", target=target, headers=[(b"Host", b"here:8000"), *headers], http_version="1.1"
    )
    peers = Peers(("10.0.0.9", 4000), ("10.0.0.1", 8000), is_tls)
    return make_environ(request, peers, source, io.BytesIO(), BodyBudget(1).lease("10.0.0.9"))


def test_path_and_query_are_split_and_the_path_is_unquoted() -> None:
    environ = environ_of(b"/a%20b/%C3%A9?c=%20d&e?f")

    assert environ["PATH_INFO"] == "/a b/é".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "c=%20d&e?f"


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"http://there:1/a?b", "there:1"), (b"https://there/a?b", "there"), (b"/a?b", "here:8000")],
)
def test_an_absolute_target_names_the_host(target: bytes, host: str) -> None:
    environ = environ_of(target)

    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == (host, "/a")


@pytest.mark.parametrize("target", [b"a", b"ftp://there/a", b"http://[/a", b"there:443"])
def test_another_target_is_refused(target: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        environ_of(target)


def test_equal_headers_are_joined_and_those_with_underscores_left_out() -> None:
    environ = environ_of(
        b"/", (b"X-A", b"1"), (b"X-A", b"2"), (b"X_A", b"3"), (b"Cookie", b"a=1"), (b"Cookie", b"b")
    )

    assert environ["HTTP_X_A"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b"


def test_the_client_and_what_it_asked_for_are_those_of_the_source() -> None:
    source = Source(client="192.0.2.7", scheme="https", host="api.example")

    environ = environ_of(b"http://there/a", source=source)

    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "api.example"


@pytest.mark.parametrize(("is_tls", "scheme"), [(True, "https"), (False, "http")])
def test_without_a_proxy_the_scheme_is_that_of_the_connection(is_tls: bool, scheme: str) -> None:
    assert environ_of(b"/", is_tls=is_tls)["wsgi.url_scheme"] == scheme
