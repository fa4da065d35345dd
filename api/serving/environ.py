"""WSGI environment of a request (PEP 3333)."""

import sys
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

import h11

from api.http.body_budget import BodyLease
from api.http.forwarded import Source
from api.http.origins import LOCAL_ADDRESS
from api.http.protocol_errors import MalformedRequestError
from api.http.strict_json import BODY_LEASE

_SEPARATORS = {"HTTP_COOKIE": "; "}


@dataclass(frozen=True, slots=True)
class Peers:
    """Addresses of both ends of a connection, as host and port."""

    client: tuple[str, int]
    server: tuple[str, int]
    is_tls: bool = False


def make_environ(
    request: h11.Request, peers: Peers, source: Source, body: BinaryIO, lease: BodyLease
) -> dict[str, Any]:
    """Return the environment; raise a 400 if the target of the request is no path."""
    path, query, authority = _split_target(request.target)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("ascii"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "RAW_URI": request.target.decode("latin-1"),
        "SERVER_NAME": peers.server[0],
        "SERVER_PORT": str(peers.server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('ascii')}",
        "REMOTE_ADDR": source.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": source.scheme or ("https" if peers.is_tls else "http"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        LOCAL_ADDRESS: peers.server[0],
        BODY_LEASE: lease,
    }
    _add_headers(environ, request)
    if authority:
        environ["HTTP_HOST"] = authority.decode("latin-1")
    if source.host is not None:
        environ["HTTP_HOST"] = source.host
    return environ


def _add_headers(environ: dict[str, Any], request: h11.Request) -> None:
    for name, value in request.headers:
        if b"_" in name:
            continue  # another header could be forged by it: both have the same key
        key = name.decode("ascii").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            text = environ[key] + _SEPARATORS.get(key, ",") + text
        environ[key] = text


def _split_target(target: bytes) -> tuple[bytes, bytes, bytes]:
    """Return path, query and authority of a request's target (RFC 9112 §3.2)."""
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
        return path, query, b""
    if target == b"*":
        return target, b"", b""
    try:
        parts = urlsplit(target)
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in (b"http", b"https") or not parts.netloc:
        raise MalformedRequestError("The target of a request must be a path.")
    return parts.path or b"/", parts.query, parts.netloc
