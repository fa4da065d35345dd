"""Destinations of requests to URLs that clients choose: which ones are allowed.

Requests go only to public addresses and to networks that are allowed explicitly, whatever the
notation of the address (SSRF: server-side request forgery).
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import httpx2

from models.fetching.public_addresses import Address, is_public, unmap
from models.settings import Network

PUBLIC_PORT = 443


class UrlRefusedError(Exception):
    """Raised for a URL that requests must not be sent to; the message says why."""


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
