"""Transport of httpx that is protected against server-side request forgery, for one server.

Every request goes to the origin of one URL, by way of the checks of `checked_backend.py`, also one
that follows a redirect. The bytes of a response are bounded.
"""

import ssl
from collections.abc import AsyncIterator
from functools import lru_cache

import httpcore2
import httpx2

from models.fetching.checked_backend import CheckedBackend, OutboundError
from models.fetching.destinations import Destinations, UrlRefusedError

MAX_CONNECTIONS = 8


@lru_cache
def _tls_context() -> ssl.SSLContext:
    """Return the one context of all connections, which takes long to create."""
    return httpx2.create_ssl_context()


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Transport of requests to the origin of one URL."""

    def __init__(self, url: str, destinations: Destinations, *, owner: str, max_bytes: int) -> None:
        """Parse the URL; raise `UrlRefusedError` if requests must not be sent to it.

        `owner` is whom name look-ups are made for. A response has at most `max_bytes`.
        """
        self._target = destinations.target(url)
        self._origin = _origin_of(httpx2.URL(self._target.url))
        self._max_bytes = max_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            _tls_context(),
            max_connections=MAX_CONNECTIONS,
            network_backend=CheckedBackend(destinations, self._target, owner),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; raise `httpx2.TransportError`, without addresses, if it fails."""
        if _origin_of(request.url) != self._origin:
            raise httpx2.UnsupportedProtocol("the request would leave the server's origin")
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        try:
            response = await self._pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except (OutboundError, UrlRefusedError) as error:
            raise httpx2.ConnectError(str(error)) from None
        except _ERRORS as error:
            raise _transport_error(error) from None
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_BoundedStream(response, self._max_bytes),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    """Body of a response, which ends in an error beyond a number of bytes."""

    def __init__(self, response: httpcore2.Response, max_bytes: int) -> None:
        self._response = response
        self._num_left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_stream():
                self._num_left -= len(chunk)
                if self._num_left < 0:
                    raise httpx2.ReadError("the answer is too large")
                yield chunk
        except _ERRORS as error:
            raise _transport_error(error) from None

    async def aclose(self) -> None:
        """Close the response."""
        await self._response.aclose()


_ERRORS = (
    OSError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
)


def _transport_error(error: Exception) -> httpx2.TransportError:
    """Return the error that httpx would raise; the text of the other may have addresses."""
    match error:
        case httpcore2.ConnectTimeout():
            return httpx2.ConnectTimeout("no connection in time")
        case httpcore2.TimeoutException():
            return httpx2.ReadTimeout("no answer in time")
        case httpcore2.ConnectError():
            return httpx2.ConnectError("no connection")
        case _:
            return httpx2.ReadError("the connection was lost")


def _origin_of(url: httpx2.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port
