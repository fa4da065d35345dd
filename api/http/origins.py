"""Hosts and origins that may be named in requests: against DNS rebinding and foreign web pages.

A browser sends the name that its page was loaded from in `Host`, and the page's origin in `Origin`
(Fetch standard, "Origin" header). Programs that are no browsers send no `Origin`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_cors import CORS
from werkzeug.sansio.utils import host_is_trusted

from api.http.protocol_errors import HostNotAllowedError, OriginNotAllowedError
from models.settings import Settings

ANY = "*"
LOCAL_ADDRESS = "antiphon.local_address"
"""Key of the WSGI environment: the address that the connection arrived at."""
_LOOPBACK_NAMES = ("localhost", ".localhost")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXPOSED_HEADERS = [
    "x-request-id",
    "Antiphon-Queue-Eta",
    "Antiphon-Queue-Position",
    "Antiphon-Warning",
    "Retry-After",
    "Location",
    "openai-processing-ms",
    "openai-version",
    *(
        f"x-ratelimit-{kind}-{unit}"
        for kind in ("limit", "remaining", "reset")
        for unit in ("requests", "tokens")
    ),
]
"""Headers of answers that scripts may read, besides those that any may (Fetch standard)."""
_PREFLIGHT_S = 600
"""Seconds for which a browser may remember the answer to a preflight request."""


@lru_cache(maxsize=256)
def _permits(names: tuple[str, ...], host: str, local_address: str | None) -> bool:
    """Return True if a `Host` header is allowed; most requests of a process have the same one."""
    name = _host_name(host)
    if name is None:
        return False
    if ANY in names:
        return True
    address = _parse_address(name)
    if address is None:
        return host_is_trusted(name.removesuffix("."), [*_LOOPBACK_NAMES, *names])
    named = {_parse_address(allowed) for allowed in (*names, local_address or "")}
    return address.is_loopback or (not address.is_unspecified and address in named)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Names that `Host` may have: those of this machine, and those that the operator names."""

    names: tuple[str, ...]

    def permits(self, host: str, local_address: str | None = None) -> bool:
        """Return True if a `Host` header (`name[:port]`) is allowed.

        Addresses of the loopback network and the address that the connection arrived at are always
        allowed: a rebound name is never one of them.
        """
        return _permits(self.names, host, local_address)


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """Origins of web pages that may send requests: the server's own, and those configured."""

    origins: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of the settings, spelled as browsers do."""
        return cls(frozenset(map(_without_default_port, settings.allowed_origins)))

    def permits(self, origin: str, host: str) -> bool:
        """Return True if a page of this origin may send a request to this `Host`."""
        return self._are_named(origin) or _is_same(origin, host)

    def cors_headers(self, origin: str | None) -> list[tuple[str, str]]:
        """Return the headers with which a page of this origin may read an answer.

        For answers that do not come from the app, whose answers have them already.
        """
        if not self.origins:
            return []
        if origin is None or not self._are_named(origin):
            return [("Vary", "Origin")]
        return [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", ", ".join(_EXPOSED_HEADERS)),
            ("Vary", "Origin"),
        ]

    def _are_named(self, origin: str) -> bool:
        return bool(self.origins & {ANY, origin.lower()})


def install_origin_checks(app: Flask, settings: Settings) -> None:
    """Refuse foreign hosts and origins before any view, and answer allowed origins with CORS."""
    bound = () if _is_unspecified(settings.host) else (settings.host,)
    hosts = AllowedHosts((*settings.allowed_hosts, *settings.admin_hosts, *bound))
    origins = AllowedOrigins.of(settings)

    def check() -> None:
        _check_host(hosts)
        _check_origin(origins)

    app.before_request(check)
    app.after_request(_add_page_headers)
    if origins.origins:
        app.after_request(_vary_by_origin)
        _install_cors(app, origins)


def _install_cors(app: Flask, origins: AllowedOrigins) -> None:
    """Answer pages of allowed origins with CORS, and their preflight requests."""
    # A name in square brackets would be taken for a regular expression.
    named = [re.compile(re.escape(name) + r"\Z", re.IGNORECASE) for name in origins.origins]
    CORS(
        app,
        origins=ANY if ANY in origins.origins else named,
        methods=["GET", "POST", "DELETE", "OPTIONS"],
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_S,
        allow_private_network=True,
        always_send=False,
    )


def _check_host(hosts: AllowedHosts) -> None:
    environ = request.environ
    host = environ.get("HTTP_HOST")
    # A client of HTTP/1.0 may leave it out; no browser does.
    if host is not None and not hosts.permits(host, environ.get(LOCAL_ADDRESS)):
        raise HostNotAllowedError(host)


def _check_origin(origins: AllowedOrigins) -> None:
    environ = request.environ
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None:
        if not origins.permits(origin, environ.get("HTTP_HOST", "")):
            raise OriginNotAllowedError(origin)
        return
    # A page may embed addresses without sending its origin. A link that is followed is no harm.
    is_embedded = environ.get("HTTP_SEC_FETCH_MODE") != "navigate"
    if is_embedded and environ.get("HTTP_SEC_FETCH_SITE") == "cross-site":
        raise OriginNotAllowedError("of another site")


def _add_page_headers(response: Response) -> Response:
    """Forbid other pages to frame an answer, and browsers to guess its type."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def _vary_by_origin(response: Response) -> Response:
    """Keep caches from answering a page with what another origin was answered."""
    response.vary.add("Origin")
    return response


def _without_default_port(origin: str) -> str:
    """Return an origin as browsers spell it, without the port that its scheme implies."""
    scheme = origin.partition("://")[0]
    return origin.removesuffix(f":{_DEFAULT_PORTS.get(scheme)}")


def _is_same(origin: str, host: str) -> bool:
    """Return True if the origin is the address in `Host`; a proxy may have added the TLS."""
    parts = _split(origin)
    if parts is None or parts[0] not in _DEFAULT_PORTS:
        return False
    scheme, name, port = parts
    of_host = _split(f"{scheme}://{host}")
    default = _DEFAULT_PORTS[scheme]
    return of_host is not None and (name, port or default) == (of_host[1], of_host[2] or default)


def _host_name(host: str) -> str | None:
    parts = _split(f"http://{host}")
    return None if parts is None else parts[1]


def _split(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, lower-case host name and port of a URL that has nothing else, else None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    has_more = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if has_more or not parts.hostname or any(c in url for c in "\\, \t"):
        return None
    return parts.scheme, parts.hostname, port


def _parse_address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_unspecified(host: str) -> bool:
    address = _parse_address(host)
    return address is not None and address.is_unspecified
