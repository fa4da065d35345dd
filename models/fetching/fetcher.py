"""HTTP client for GET requests to URLs from clients, such as those of images.

Redirects are followed, each checked like the URL itself. Proxies from the environment are not used.
The whole fetch is limited in time, and its content in bytes, compressed and decompressed.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import httpcore2
import httpx2

from models.content_coding import (
    CODINGS,
    DamagedContentError,
    decompress_pieces,
    name_of_coding,
)
from models.fetching.checked_backend import CheckedBackend, OutboundError
from models.fetching.destinations import Destinations, Target, UrlRefusedError
from models.fetching.resolver import RESOLVER, Resolver

MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OWN_HEADERS = {"user-agent": "antiphon", "accept-encoding": "identity"}
"""Headers of every request, besides `Host`."""
_SAFE_HEADERS = frozenset({"accept", "accept-language"})
"""Headers of the caller that another origin gets, too."""

Grow = Callable[[int], object]
"""Function that is called with the number of bytes before they are kept; it may raise."""


class TooLargeError(OutboundError):
    """Raised for a content of too many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Limits of one fetch."""

    max_bytes: int
    """Bytes of the content, and as many of it compressed."""
    total_s: float = 10.0
    """Seconds from the first name resolution to the last byte, redirects included."""


class Fetcher:
    """HTTP client for GET requests; any number at a time, from one event loop."""

    def __init__(
        self, destinations: Destinations, limits: FetchLimits, *, resolver: Resolver = RESOLVER
    ) -> None:
        self._destinations = destinations
        self._limits = limits
        self._resolver = resolver

    async def get(
        self,
        url: str,
        *,
        owner: str,
        headers: Mapping[str, str] | None = None,
        grow: Grow = lambda _: None,
    ) -> bytes:
        """Return the content at a URL, decompressed.

        Names are resolved for the `owner` of the URL. After a redirect to another origin, only
        `headers` that carry no credentials are sent.

        Raises `UrlRefusedError` for a forbidden destination, also of a redirect, and
        `OutboundError` if there is no content in time. Neither tells an address.
        """
        total_s = self._limits.total_s
        try:
            async with asyncio.timeout(total_s):
                raw, coding = await self._follow(url, owner, headers or {}, grow)
                if coding is None:
                    return raw
                return await asyncio.to_thread(self._decompress, raw, coding, grow)
        except TimeoutError:
            raise OutboundError(f"there is no whole answer within {total_s:g} s") from None
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            # The error's text may contain internal addresses.
            raise OutboundError(f"no connection ({type(error).__name__})") from None

    async def _follow(
        self, url: str, owner: str, headers: Mapping[str, str], grow: Grow
    ) -> tuple[bytes, str | None]:
        target = self._destinations.target(_without_fragment(url))
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._request(target, owner, headers, grow)
            if isinstance(found, tuple):
                return found
            following = self._redirect(target, found)
            if _origin(following) != _origin(target):
                headers = {k: v for k, v in headers.items() if k.lower() in _SAFE_HEADERS}
            target = following
        raise OutboundError(f"it redirects more than {MAX_REDIRECTS} times")

    def _redirect(self, target: Target, location: str) -> Target:
        try:
            joined = str(httpx2.URL(target.url).join(location))
            return self._destinations.target(_without_fragment(joined))
        except httpx2.InvalidURL:
            raise UrlRefusedError("it redirects to what is no URL") from None
        except UrlRefusedError as error:
            raise UrlRefusedError(f"it redirects to a URL that is refused: {error}") from None

    async def _request(
        self, target: Target, owner: str, headers: Mapping[str, str], grow: Grow
    ) -> tuple[bytes, str | None] | str:
        """Return the content with its coding, or the location of a redirect."""
        backend = CheckedBackend(self._destinations, target, owner, self._resolver)
        sent = [*{**headers, **_OWN_HEADERS}.items()]
        async with (
            # One pool per request: owners of URLs share no connections.
            httpcore2.AsyncConnectionPool(_tls_context(), network_backend=backend) as pool,
            pool.stream("GET", target.url, headers=sent) as response,
        ):
            location = _header(response, b"location")
            if response.status in _REDIRECTS and location is not None:
                return location
            if response.status != 200:
                raise OutboundError(f"the answer has the status {int(response.status)}")
            return await self._read(response, grow)

    async def _read(self, response: httpcore2.Response, grow: Grow) -> tuple[bytes, str | None]:
        coding = name_of_coding(_header(response, b"content-encoding"))
        if coding is not None and coding not in CODINGS:
            raise OutboundError("the answer has a content coding that is not known here")
        length = _header(response, b"content-length") or "0"
        if length.isascii() and length.isdigit() and int(length[:20]) > self._limits.max_bytes:
            raise self._too_large()
        content = bytearray()
        async for chunk in response.aiter_stream():
            if len(content) + len(chunk) > self._limits.max_bytes:
                raise self._too_large()
            grow(len(chunk))
            content += chunk
        return bytes(content), coding

    def _decompress(self, raw: bytes, coding: str, grow: Grow) -> bytes:
        content = bytearray()
        try:
            for piece in decompress_pieces(raw, coding):
                if len(content) + len(piece) > self._limits.max_bytes:
                    raise self._too_large()
                grow(len(piece))
                content += piece
        except DamagedContentError:
            raise OutboundError(f"the answer is not valid {coding} data") from None
        return bytes(content)

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"it is larger than {self._limits.max_bytes} bytes")


@lru_cache
def _tls_context() -> ssl.SSLContext:
    """Return the one context of all connections, which takes long to create."""
    return httpx2.create_ssl_context()


def _origin(target: Target) -> tuple[bool, str, int]:
    return target.is_tls, target.host, target.port


def _without_fragment(url: str) -> str:
    return url.partition("#")[0]


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    """Return the values of a header, separated by commas as if it came once."""
    values = [value for key, value in response.headers if key.lower() == name]
    return b", ".join(values).decode("latin-1") if values else None
