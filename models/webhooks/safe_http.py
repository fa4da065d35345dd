"""HTTP client for URLs from clients, protected against server-side request forgery (SSRF).

Requests go only to public addresses and to networks that are allowed explicitly. The host name is
resolved here, and the connection goes to the address that was checked, which prevents DNS
rebinding. Redirects are not followed, proxies from the environment are not used, response bodies
are not read, and the whole request has a time limit.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import httpcore2
import httpx2

from models.settings import Network
from models.webhooks.public_addresses import Address, is_public, unmap
from models.webhooks.resolver import Resolver, UnresolvedError

TOTAL_S = 10.0
"""Seconds that one request may take, from name resolution to the response status."""
PUBLIC_PORT = 443

_resolver = Resolver()


class UrlRefusedError(Exception):
    """Raised for a URL that requests must not be sent to; the message says why."""


class OutboundError(Exception):
    """Raised for a request without a response; the message says why, without the URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Parsed URL."""

    url: str
    is_tls: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Destinations:
    """Allowed destinations: https to public addresses, and anything in the `allowed` networks."""

    allowed: Sequence[Network] = ()

    def target(self, url: str) -> Target:
        """Parse a URL; raise `UrlRefusedError` for errors that need no name resolution."""
        target = _parse(url)
        literal = _literal(target.host)
        if literal is not None:
            self.check(target, literal)
        elif not self.allowed:
            _check_public(target)
        return target

    def check(self, target: Target, address: Address) -> None:
        """Raise `UrlRefusedError` unless a request for `target` may go to this address."""
        address = unmap(address)
        if any(address in network for network in self.allowed):
            return
        if not is_public(address):
            raise UrlRefusedError("its address is not open to the internet")
        _check_public(target)


class OutboundClient:
    """HTTP client for POST requests; any number at a time, from one event loop."""

    def __init__(self, destinations: Destinations, *, total_s: float = TOTAL_S) -> None:
        self._destinations = destinations
        self._total_s = total_s
        # The environment's SSL_CERT_FILE can add certificate authorities.
        self._tls = httpx2.create_ssl_context()

    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], owner: str = ""
    ) -> int:
        """Send a POST request; return the status code of the response.

        Names are resolved for the `owner` of the URL, and look-ups that hang delay no other owner.

        Raises `UrlRefusedError` for a forbidden destination, `OutboundError` if there is no
        response in time.
        """
        target = self._destinations.target(url)
        backend = CheckedBackend(self._destinations, target, owner)
        try:
            async with (
                asyncio.timeout(self._total_s),
                # One pool per request: owners of endpoints share no connections.
                httpcore2.AsyncConnectionPool(self._tls, network_backend=backend) as pool,
                pool.stream(
                    "POST", target.url, headers=[*headers.items()], content=body
                ) as response,
            ):
                return int(response.status)
        except TimeoutError:
            raise OutboundError(f"no answer within {self._total_s:g} s") from None
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            # The error's text may contain internal addresses.
            raise OutboundError(f"no connection ({type(error).__name__})") from None


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Network backend that resolves a name, checks its addresses and connects only to those."""

    def __init__(self, destinations: Destinations, target: Target, owner: str) -> None:
        self._destinations = destinations
        self._target = target
        self._owner = owner
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first reachable address of the host, if all its addresses are allowed."""
        look_up = _resolver.submit(self._owner, self._target.host, self._target.port)
        addresses = await asyncio.wrap_future(look_up)
        if isinstance(addresses, UnresolvedError):
            raise OutboundError(str(addresses))
        for address in addresses:
            self._destinations.check(self._target, address)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout)
            except httpcore2.NetworkError:
                continue
        return await self._inner.connect_tcp(str(addresses[-1]), port, timeout)


def look_up(target: Target, *, owner: str, within_s: float) -> list[Address]:
    """Return the addresses of a target's host; [] if it does not resolve in `within_s` seconds."""
    try:
        found = _resolver.submit(owner, target.host, target.port).result(timeout=within_s)
    except TimeoutError:
        return []
    return [] if isinstance(found, UnresolvedError) else found


def _parse(url: str) -> Target:
    if any(c.isspace() or c == "\\" or not c.isprintable() for c in url):
        raise UrlRefusedError("it holds a character that no URL has")
    try:
        parsed = httpx2.URL(url)
        parsed.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError):
        raise UrlRefusedError("it is no URL") from None
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise UrlRefusedError("it must begin with https:// and name a host")
    if parsed.userinfo or parsed.fragment:
        raise UrlRefusedError("it must have no user name, password or fragment")
    is_tls = parsed.scheme == "https"
    port = parsed.port if parsed.port is not None else (443 if is_tls else 80)
    # The normalized URL is what will be sent, so that the checked host is the requested host.
    return Target(url=str(parsed), is_tls=is_tls, host=parsed.raw_host.decode(), port=port)


def _check_public(target: Target) -> None:
    if not target.is_tls:
        raise UrlRefusedError("it must begin with https://")
    if target.port != PUBLIC_PORT:
        raise UrlRefusedError(f"its port must be {PUBLIC_PORT}")


def _literal(host: str) -> Address | None:
    """Return the address if the host is an IP literal, in any notation that resolvers accept."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
