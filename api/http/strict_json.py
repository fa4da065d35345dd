"""JSON in and out through orjson; a body that is not a JSON object is refused by name."""

from typing import Any

import orjson
from flask import Flask, Request
from flask.json.provider import JSONProvider

from models.errors import (
    InvalidJsonError,
    InvalidRequestError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)

MAX_BODY_BYTES = 32 * 1024 * 1024
"""The specification's longest text, ten million characters, in up to three bytes each."""

MAX_DEPTH = 100
"""Levels of nesting. orjson writes no more than 254, schema compilers recurse."""


class OrjsonProvider(JSONProvider):
    """Flask's JSON through orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """JSON text."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """A value; refuses NaN, invalid UTF-8 and lone surrogates. The last of equal keys wins."""
        return orjson.loads(s)


class StrictRequest(Request):
    """A request whose JSON body is an object or an error, never silently nothing."""

    max_content_length = MAX_BODY_BYTES

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body; `silent` has no effect, so that no caller can turn the checks off."""
        if "strict_json" not in self.environ:
            self.environ["strict_json"] = self._parse()
        return self.environ["strict_json"]

    def _parse(self) -> dict[str, Any]:
        if not self.is_json:
            raise UnsupportedMediaTypeError
        if self.content_length is not None and self.content_length > MAX_BODY_BYTES:
            raise RequestTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        data = self.get_data()
        if not self.content_length and len(data) >= MAX_BODY_BYTES:
            # A body in chunks does not tell its length; werkzeug reads no more than the limit.
            raise RequestTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        return parse_object(data)


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`; raises an `AppError` for anything else."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.", code="invalid_type")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise InvalidRequestError(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if b"\\u0000" in data:
        _refuse_nul(body, "")
    return body


def _depth(value: object) -> int:
    """Levels of nesting, found without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def _refuse_nul(value: object, path: str) -> None:
    """Postgres' text holds every character but NUL."""
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
    """Make an app speak JSON this way."""
    app.json = OrjsonProvider(app)
    app.request_class = StrictRequest
