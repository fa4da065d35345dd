"""Clients behind trusted proxies: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded`.

`Forwarded` is that of RFC 7239. Anyone can send these headers, so only what trusted proxies have
added to them counts: the client is the first address from the right that is no trusted proxy.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice

from flask import request

from models.settings import Network

MAX_HOPS = 32
"""Maximum proxies between this server and a client."""
_CLIENT_BITS = 64
"""Prefix length of the smallest IPv6 network that one client has (RFC 6177)."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(
    rf'[ \t]*(?P<name>{_TOKEN})=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",;\s]+))'
    r"[ \t]*(?P<end>[;,]|\Z)"
)
_EMPTY = re.compile(r"[ \t]*(,|\Z)")
_NODE = re.compile(r"\[(?P<v6>[^][]+)\](?::[\w.-]+)?|(?P<v4>[\d.]+)(?::[\w.-]+)?")
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

Headers = Iterable[tuple[bytes, bytes]]


class _MalformedError(Exception):
    """The header `Forwarded` is not valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Origin of a request: the address of its client, and what the client has asked for."""

    client: str
    scheme: str | None = None
    """`http` or `https`, as the client has connected; None if no proxy says it."""
    host: str | None = None
    """`Host` that the client has sent; None if no proxy says it."""


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Networks of the proxies whose headers count."""

    networks: Sequence[Network] = ()

    def trusts(self, address: str) -> bool:
        """Return True if an address is that of a trusted proxy."""
        parsed = _parse_address(address) if self.networks else None
        return parsed is not None and any(parsed in network for network in self.networks)

    def source(self, peer: str, headers: Headers) -> Source:
        """Return the source of a request that a peer has sent.

        Where `X-Forwarded-For` and `Forwarded` name different clients, neither counts: a proxy that
        sets one passes the other on as the client sent it.
        """
        if not self.trusts(peer):
            return Source(client=_unmapped(peer))
        fields = _Fields()
        for name, value in headers:
            fields.add(name, value)
        named = self._of_x_forwarded(peer, fields)
        if not fields.forwarded:
            return named
        standard = self._of_forwarded(peer, fields)
        if not fields.clients:
            return standard
        return named if named.client == standard.client else Source(client=_unmapped(peer))

    def _of_x_forwarded(self, peer: str, fields: "_Fields") -> Source:
        client, depth = self._find_client(peer, fields.clients)
        return _make_source(client, _at(fields.schemes, depth), _at(fields.hosts, depth))

    def _of_forwarded(self, peer: str, fields: "_Fields") -> Source:
        try:
            hops = list(_parse_forwarded(",".join(fields.forwarded)))
        except _MalformedError:
            return Source(client=_unmapped(peer))
        client, depth = self._find_client(peer, [hop.get("for", "") for hop in hops])
        hop = hops[-depth] if hops else {}
        return _make_source(client, hop.get("proto"), hop.get("host"))

    def _find_client(self, peer: str, hops: Sequence[str]) -> tuple[str, int]:
        """Return the client's address, and how many of the last `hops` trusted proxies have added.

        A hop that is no address ends the search: the client is the proxy that has added it.
        """
        client, depth = _unmapped(peer), 0
        for hop in islice(reversed(hops), MAX_HOPS):
            depth += 1
            address = _parse_node(hop)
            if address is None:
                break
            client = str(address)
            if not self.trusts(client):
                break
        return client, max(depth, 1)


def client_address() -> str:
    """Return the address of the current request's client, found behind trusted proxies."""
    return request.remote_addr or ""


def client_network(address: str) -> str:
    """Return what limits count a client by: its IPv4 address, or its IPv6 network (/64)."""
    parsed = _parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), _CLIENT_BITS), strict=False))
    return address if parsed is None else str(parsed)


@dataclass(slots=True)
class _Fields:
    """Elements of the headers of one request, each list as long as the proxies have made it."""

    clients: list[str] = field(default_factory=list)
    schemes: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)

    def add(self, name: bytes, value: bytes) -> None:
        """Take a header, one of several of its name perhaps."""
        text = value.decode("latin-1")
        match name:
            case b"x-forwarded-for":
                self.clients += text.split(",")
            case b"x-forwarded-proto":
                self.schemes += text.split(",")
            case b"x-forwarded-host":
                self.hosts += text.split(",")
            case b"forwarded":
                self.forwarded.append(text)


def _make_source(client: str, scheme: str | None, host: str | None) -> Source:
    scheme = _SCHEMES.get((scheme or "").strip().lower())
    return Source(client=client, scheme=scheme, host=(host or "").strip() or None)


def _at(values: Sequence[str], depth: int) -> str | None:
    """Return what the proxy has added that added the `depth`-th address from the right.

    Some proxies overwrite these headers: then there are fewer values than addresses.
    """
    return values[-min(depth, len(values))] if values else None


def _parse_forwarded(text: str) -> Iterator[dict[str, str]]:
    """Yield the elements of `Forwarded`; raise `_MalformedError`."""
    element: dict[str, str] = {}
    position, end = 0, ","
    while position < len(text):
        if end == "," and (empty := _EMPTY.match(text, position)):
            position = empty.end()
            continue
        pair = _PAIR.match(text, position)
        if pair is None:
            raise _MalformedError
        name, quoted = pair["name"].lower(), pair["quoted"]
        value = pair["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if name in element:
            raise _MalformedError
        element[name] = value
        position, end = pair.end(), pair["end"]
        if end != ";":
            yield element
            element = {}
    if end == ";":
        raise _MalformedError


def _parse_node(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address of a hop, which may have a port; None for any other name."""
    text = text.strip()
    node = _NODE.fullmatch(text)
    return _parse_address(text if node is None else node["v6"] or node["v4"])


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _unmapped(peer: str) -> str:
    """Return the address of a peer; one that is IPv4-mapped, of a dual-stack socket, as IPv4."""
    address = _parse_address(peer)
    return peer if address is None else str(address)
