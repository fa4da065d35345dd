"""Content at URLs chosen by others: a real site on this machine, and names that tests resolve."""

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import zstandard

from models.errors import OverloadedError
from models.fetching.checked_backend import OutboundError
from models.fetching.destinations import Destinations, UrlRefusedError
from models.fetching.fetcher import MAX_REDIRECTS, Fetcher, FetchLimits, TooLargeError
from models.fetching.resolver import Found, Resolver, UnresolvedError
from tests.polling import PATIENCE_S
from tests.site import Page, Site

HERE = Destinations([ip_network("127.0.0.0/8")])
LIMIT = 10_000


class Names:
    """Names and the addresses that they resolve to; the last one of a list stays."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[list[str]]] = {}
        self.looked_up: list[str] = []

    def find(self, host: str, port: int) -> Found:
        with suppress(ValueError):
            return [ip_address(host.strip("[]"))]
        self.looked_up.append(host)
        answers = self.addresses.get(host)
        if not answers:
            return UnresolvedError("its name does not resolve")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(address) for address in answer]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as opened:
        yield opened


Get = Callable[..., bytes]


@pytest.fixture
def get(names: Names) -> Get:
    """Return a function that fetches a URL, within 5 s unless it is told otherwise."""

    def fetch(
        url: str, destinations: Destinations = HERE, *, total_s: float = 5, **more: Any
    ) -> bytes:
        limits = FetchLimits(max_bytes=LIMIT, total_s=total_s)
        fetcher = Fetcher(destinations, limits, resolver=Resolver(find=names.find))
        return asyncio.run(fetcher.get(url, owner="p", **more))

    return fetch


def test_it_works(site: Site, get: Get) -> None:
    site.pages["/a?b=c"] = Page(b"hello")

    assert get(f"{site.url}/a?b=c#part", headers={"Accept": "image/*"}) == b"hello"

    [visit] = site.visits
    assert visit.headers["accept"] == "image/*"
    assert visit.headers["accept-encoding"] == "identity"
    assert visit.headers["user-agent"] == "antiphon"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a",
        "https://example.com:8443/a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://2130706433/a",
        "https://user:password@example.com/a",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://",
        "https://a b/",
        "https://exa\nmple.com/",
    ],
)
def test_a_url_that_is_not_allowed_is_refused_without_a_look_up(
    get: Get, names: Names, url: str
) -> None:
    with pytest.raises(UrlRefusedError):
        get(url, Destinations())

    assert names.looked_up == []


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["::1"]])
def test_a_name_with_any_address_inside_is_not_connected_to(
    site: Site, get: Get, names: Names, addresses: list[str]
) -> None:
    names.addresses["a.example"] = [addresses]

    with pytest.raises(UrlRefusedError, match="not open to the internet") as raised:
        get(f"http://a.example:{site.port}/")

    assert site.visits == []
    assert addresses[0] not in str(raised.value)


def test_a_name_is_looked_up_once_and_the_checked_address_connected_to(
    site: Site, get: Get, names: Names
) -> None:
    names.addresses["a.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    site.pages["/"] = Page(b"hello")

    assert get(f"http://a.example:{site.port}/") == b"hello"

    assert names.looked_up == ["a.example"]
    assert site.visits[0].headers["host"] == f"a.example:{site.port}"


def test_a_name_that_does_not_resolve_is_said_to_be_so(get: Get) -> None:
    with pytest.raises(OutboundError, match="does not resolve"):
        get("http://none.example/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Site, get: Get, status: int) -> None:
    site.redirect("/a", "b/c", status)
    site.redirect("/b/c", "/d#part", status)
    site.redirect("/d", f"//127.0.0.1:{site.port}/e", status)
    site.pages["/e"] = Page(b"hello")

    assert get(f"{site.url}/a") == b"hello"

    assert len(site.visits) == MAX_REDIRECTS + 1


def test_one_redirect_more_is_an_error(site: Site, get: Get) -> None:
    for number in range(MAX_REDIRECTS + 1):
        site.redirect(f"/{number}", f"/{number + 1}")
    site.pages[f"/{MAX_REDIRECTS + 1}"] = Page(b"hello")

    with pytest.raises(OutboundError, match="redirects more than 3 times"):
        get(f"{site.url}/0")


def test_a_redirect_in_a_circle_ends(site: Site, get: Get) -> None:
    site.redirect("/a", "/a")

    with pytest.raises(OutboundError, match="redirects more than 3 times"):
        get(f"{site.url}/a")


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://user:password@127.0.0.1/",
        "http://inside.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://[/",
        "http://exa mple/",
        "http://\xff/",
    ],
)
def test_a_redirect_is_checked_like_the_url_itself(
    site: Site, get: Get, names: Names, location: str
) -> None:
    names.addresses["inside.example"] = [["10.0.0.1"]]
    site.redirect("/a", location)

    with pytest.raises((UrlRefusedError, OutboundError)) as raised:
        get(f"{site.url}/a", total_s=2)

    assert len(site.visits) == 1
    assert "10.0.0.1" not in str(raised.value)
    assert "within" not in str(raised.value)


def test_every_hop_is_looked_up_anew(site: Site, get: Get, names: Names) -> None:
    names.addresses["a.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    site.redirect("/a", f"http://a.example:{site.port}/b")
    site.pages["/b"] = Page(b"secret")

    with pytest.raises(UrlRefusedError):
        get(f"http://a.example:{site.port}/a")

    assert [visit.path for visit in site.visits] == ["/a"]


@pytest.mark.parametrize(("host", "is_sent"), [("127.0.0.1", True), ("127.0.0.2", False)])
def test_credentials_go_to_their_origin_only(
    site: Site, get: Get, names: Names, host: str, is_sent: bool
) -> None:
    names.addresses["other.example"] = [["127.0.0.1"]]
    target = site.url if is_sent else f"http://other.example:{site.port}"
    site.redirect("/a", f"{target}/b")
    site.redirect("/b", f"{site.url}/c")
    site.pages["/c"] = Page(b"hello")
    secret = {"Authorization": "Bearer secret", "Cookie": "a=b", "X-Api-Key": "c"}

    assert get(f"{site.url}/a", headers={**secret, "Accept": "image/*"}) == b"hello"

    first, *later = site.visits
    assert first.headers["authorization"] == "Bearer secret"
    for visit in later:
        assert ("authorization" in visit.headers) == is_sent
        assert ("cookie" in visit.headers) == is_sent
        assert ("x-api-key" in visit.headers) == is_sent
        assert visit.headers["accept"] == "image/*"


@pytest.mark.parametrize("status", [204, 206, 304, 400, 404, 500])
def test_another_status_is_an_error(site: Site, get: Get, status: int) -> None:
    site.pages["/"] = Page(b"", status=status)

    with pytest.raises(OutboundError, match=f"status {status}"):
        get(f"{site.url}/")


def test_a_redirect_without_a_location_is_an_error(site: Site, get: Get) -> None:
    site.pages["/"] = Page(b"", status=302)

    with pytest.raises(OutboundError, match="status 302"):
        get(f"{site.url}/")


def test_a_content_up_to_the_limit_is_taken(site: Site, get: Get) -> None:
    site.pages["/"] = Page(b"a" * LIMIT)

    assert len(get(f"{site.url}/")) == LIMIT


def test_a_length_beyond_the_limit_is_refused_before_the_content(site: Site, get: Get) -> None:
    def declare(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(LIMIT + 1))
        handler.end_headers()

    site.pages["/"] = declare

    with pytest.raises(TooLargeError, match=f"larger than {LIMIT} bytes"):
        get(f"{site.url}/", total_s=2)


def _flood(handler: BaseHTTPRequestHandler) -> None:
    """Answer without end."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"a" * 1024)


def test_a_content_without_end_is_not_read_to_it(site: Site, get: Get) -> None:
    site.pages["/"] = _flood

    with pytest.raises(TooLargeError):
        get(f"{site.url}/", total_s=5)


def _deflate_raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


_COMPRESS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", _deflate_raw),
    ("zstd", zstandard.compress),
]


@pytest.mark.parametrize(("coding", "compress"), _COMPRESS)
def test_compressed_content_is_bounded_by_its_size_decompressed(
    site: Site, get: Get, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    site.pages["/fits"] = Page(compress(b"a" * LIMIT), headers={"content-encoding": coding})
    bomb = compress(b"a" * (50 << 20))
    assert coding != "zstd" or len(bomb) < LIMIT
    site.pages["/bomb"] = Page(bomb, headers={"content-encoding": coding})

    assert get(f"{site.url}/fits") == b"a" * LIMIT
    with pytest.raises(TooLargeError):
        get(f"{site.url}/bomb")


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip", "identity, gzip", "nonsense"])
def test_unknown_codings_are_refused(site: Site, get: Get, coding: str) -> None:
    site.pages["/"] = Page(b"a", headers={"content-encoding": coding})

    with pytest.raises(OutboundError, match="content coding"):
        get(f"{site.url}/")


@pytest.mark.parametrize("data", [b"nonsense", gzip.compress(b"a" * 100)[:-9]])
def test_damaged_content_is_an_error(site: Site, get: Get, data: bytes) -> None:
    site.pages["/"] = Page(data, headers={"content-encoding": "gzip"})

    with pytest.raises(OutboundError, match="not valid gzip data"):
        get(f"{site.url}/")


@pytest.mark.parametrize("part", ["name", "head", "body"])
def test_the_whole_fetch_has_a_time_limit(
    site: Site, get: Get, names: Names, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        if part == "body":
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b"a")
            handler.wfile.flush()
        released.wait(PATIENCE_S)

    def find(host: str, port: int) -> Found:
        if part == "name":
            released.wait(PATIENCE_S)
        return [ip_address("127.0.0.1")]

    monkeypatch.setattr(names, "find", find)
    site.pages["/"] = hang
    try:
        with pytest.raises(OutboundError, match=r"within 0\.3 s"):
            get(f"http://a.example:{site.port}/", total_s=0.3)
    finally:
        released.set()


def test_redirects_share_the_time_limit(site: Site, get: Get) -> None:
    waiting = threading.Event()

    def redirect_slowly(handler: BaseHTTPRequestHandler) -> None:
        waiting.wait(0.2)
        handler.send_response(302)
        handler.send_header("location", "/")
        handler.send_header("content-length", "0")
        handler.end_headers()

    site.pages["/"] = redirect_slowly

    with pytest.raises(OutboundError, match=r"within 0\.3 s"):
        get(f"{site.url}/", total_s=0.3)


def test_a_connection_that_is_cut_off_is_an_error_that_tells_no_address(
    site: Site, get: Get
) -> None:
    def cut_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100")
        handler.end_headers()
        handler.wfile.write(b"a")

    site.pages["/"] = cut_off

    with pytest.raises(OutboundError, match="no connection") as lost:
        get(f"{site.url}/")
    with pytest.raises(OutboundError, match="no connection") as refused:
        get("http://127.0.0.1:1/")
    assert "127.0.0.1" not in f"{lost.value} {refused.value}"


def test_bytes_are_counted_before_they_are_kept(site: Site, get: Get) -> None:
    counted: list[int] = []
    data = gzip.compress(b"a" * 5000)
    site.pages["/"] = Page(data, headers={"content-encoding": "gzip"})

    get(f"{site.url}/", grow=counted.append)

    assert sum(counted) == len(data) + 5000


def test_whoever_counts_the_bytes_may_end_the_fetch(site: Site, get: Get) -> None:
    def refuse(num_bytes: int) -> None:
        raise OverloadedError

    site.pages["/"] = Page(b"a")

    with pytest.raises(OverloadedError):
        get(f"{site.url}/", grow=refuse)


def test_the_proxy_of_the_environment_is_not_used(
    site: Site, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    site.pages["/"] = Page(b"hello")

    assert get(f"{site.url}/") == b"hello"
