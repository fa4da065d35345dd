"""Errors that the HTTP server answers itself, in the one format of the API."""

import re
import uuid
from http import HTTPStatus

import h11
import orjson

from api.http.origins import AllowedOrigins
from models.errors import AppError

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def error_headers(error: AppError) -> list[tuple[str, str]]:
    """Return the headers of an error besides those of every answer."""
    headers = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    return [*headers, *error.headers.items()]


def error_body(error: AppError) -> bytes:
    """Return the JSON of an error."""
    return orjson.dumps(error.body())


def format_error(error: AppError, request: h11.Request | None, origins: AllowedOrigins) -> bytes:
    """Return a whole answer, after which the connection is closed.

    `request` is None if what arrived is no whole head of one.
    """
    body = error_body(error)
    status = error.http_status
    headers = [
        *error_headers(error),
        *origins.cors_headers(_header(request, b"origin")),
        ("x-request-id", _request_id(request)),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _request_id(request: h11.Request | None) -> str:
    """Return the client's id of the request if it is valid, else a new one."""
    request_id = _header(request, b"x-request-id")
    if request_id is not None and _REQUEST_ID.fullmatch(request_id):
        return request_id
    return f"req_{uuid.uuid4().hex}"


def _header(request: h11.Request | None, name: bytes) -> str | None:
    """Return the value of a header that is there once."""
    headers = request.headers if request is not None else ()
    values = [value for other, value in headers if other == name]
    return values[0].decode("latin-1") if len(values) == 1 else None
