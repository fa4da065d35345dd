"""Errors that the HTTP server answers itself, in the one format of the API."""

import re
import uuid
from http import HTTPStatus

import h11
import orjson

from models.errors import AppError

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def error_headers(error: AppError) -> list[tuple[str, str]]:
    """Return the headers of an error besides those of every answer."""
    headers = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    return headers


def error_body(error: AppError) -> bytes:
    """Return the JSON of an error."""
    return orjson.dumps(error.body())


def format_error(error: AppError, request: h11.Request | None) -> bytes:
    """Return a whole answer, after which the connection is closed."""
    body = error_body(error)
    status = error.http_status
    headers = [
        *error_headers(error),
        ("x-request-id", _request_id(request)),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _request_id(request: h11.Request | None) -> str:
    """Return the client's id of the request if it is valid, else a new one."""
    for name, value in request.headers if request else ():
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return f"req_{uuid.uuid4().hex}"
