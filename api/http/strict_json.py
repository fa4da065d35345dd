"""JSON through orjson, with strict validation of request bodies."""

from typing import Any

import orjson
from flask import Flask, Request
from flask.json.provider import JSONProvider

from api.http.content_encoding import decompress, find_coding
from api.http.json_limits import check_limits
from api.http.protocol_errors import (
    InvalidJsonError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from api.http.received_body import ReceivedBody
from models.errors import InvalidRequestError

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Room for the specification's longest text: ten million characters of up to three bytes each."""

BODY_LEASE = "antiphon.body_lease"
"""Key of the WSGI environment: the bytes that this body has taken of what all bodies may have."""


class OrjsonProvider(JSONProvider):
    """Flask's JSON provider, implemented with orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return `obj` as JSON text."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Parse JSON; raise for NaN, invalid UTF-8 and lone surrogates.

        The last of duplicate keys wins.
        """
        return orjson.loads(s)


class StrictRequest(Request):
    """Request whose JSON body must be an object: anything else raises an `AppError`."""

    max_content_length = MAX_BODY_BYTES

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body; `silent` is ignored, so that no caller can turn the checks off."""
        if "strict_json" not in self.environ:
            self.environ["strict_json"] = self._parse()
        return self.environ["strict_json"]

    def _parse(self) -> dict[str, Any]:
        if not self.is_json:
            raise UnsupportedMediaTypeError
        if self.content_length is not None and self.content_length > MAX_BODY_BYTES:
            raise RequestTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        coding = find_coding(self.headers.get("Content-Encoding"))
        data = self._take_data()
        if coding is not None:
            lease = self.environ.get(BODY_LEASE)
            grow = lease.grow if lease is not None else _ignore
            data = decompress(data, coding, max_bytes=MAX_BODY_BYTES, grow=grow)
        return parse_object(data)

    def _take_data(self) -> bytes:
        """Return the body, which is not kept beside what it is parsed to."""
        body = self.environ["wsgi.input"]
        if isinstance(body, ReceivedBody):
            return body.take()
        data = self.get_data(cache=False)
        if not self.content_length and len(data) >= MAX_BODY_BYTES:
            # A chunked body does not declare its length; werkzeug reads no more than the limit.
            raise RequestTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        return data


def _ignore(num_bytes: int) -> None:
    """Count no bytes: the server has no budget of bodies."""


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse the JSON object in `data`; raise an `AppError` for anything else."""
    check_limits(data)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.", code="invalid_type")
    if b"\\u0000" in data:
        _refuse_nul(body, "")
    return body


def _refuse_nul(value: object, path: str) -> None:
    """Raise a 400 for a NUL character, which Postgres cannot store in text."""
    if isinstance(value, str) and "\0" in value:
        raise InvalidRequestError("NUL characters cannot be stored.", param=path)
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nul(key, path or "metadata")
            _refuse_nul(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}[{index}]")


def use_orjson(app: Flask) -> None:
    """Make an app use orjson and validate request bodies strictly."""
    app.json = OrjsonProvider(app)
    app.request_class = StrictRequest
