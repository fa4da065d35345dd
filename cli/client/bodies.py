"""Bodies of requests, from arguments, files and standard input."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.client.output import WRONG_USE, fail

STDIN = "-"


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One request of a batch."""

    number: int
    """Number of its line, from 1."""
    body: dict[str, Any]
    custom_id: str | None = None
    """Name that the file gives it, as in batches of OpenAI."""


def read_body(text: str | None, file: str | None) -> dict[str, Any]:
    """Return the body of the one request that the arguments describe."""
    if file is not None:
        body = _parse(_read(file), file)
        return body | ({"input": text} if text is not None else {})
    if text in (None, STDIN):
        if sys.stdin.isatty():
            fail('nothing to submit: ./antiphon submit "text", or -f request.json', code=WRONG_USE)
        text = sys.stdin.read()
    if not text:
        fail("the text to submit is empty", code=WRONG_USE)
    return {"input": text}


def read_batch(file: str) -> list[BatchLine]:
    """Return the requests of a file with one in JSON on each line."""
    lines = [
        _parse_line(number, line, file)
        for number, line in enumerate(_read(file).splitlines(), start=1)
        if line.strip()
    ]
    if not lines:
        fail(f"{file}: it has no request", code=WRONG_USE)
    return lines


def parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str]:
    """Return the pairs that are given as `key=value`."""
    parsed = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            fail(f"{option} {pair}: it must be key=value", code=WRONG_USE)
        parsed[key] = value
    return parsed


def with_options(
    body: dict[str, Any], *, model: str = "", metadata: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return a body as one of a background response, with what options say instead of the body."""
    changed = {name: value for name, value in body.items() if name != "stream"}
    changed |= {"background": True} | ({"model": model} if model else {})
    if metadata:
        changed["metadata"] = {**(body.get("metadata") or {}), **metadata}
    return changed


def _parse_line(number: int, line: str, file: str) -> BatchLine:
    parsed = _parse(line, f"{file}, line {number}")
    body = parsed.get("body") if "custom_id" in parsed or "body" in parsed else parsed
    if not isinstance(body, dict):
        fail(f"{file}, line {number}: body must be an object", code=WRONG_USE)
    return BatchLine(number, body, parsed.get("custom_id"))


def _parse(text: str, place: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        fail(f"{place}: it is not JSON: {error}", code=WRONG_USE)
    if not isinstance(parsed, dict):
        fail(f"{place}: it must be a JSON object, the body of a request", code=WRONG_USE)
    return parsed


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == STDIN else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        fail(f"{file}: {reason}", code=WRONG_USE)


def iter_text(items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the text of the messages among output items."""
    for item in items:
        for part in item.get("content") or () if item.get("type") == "message" else ():
            text = part.get("text", part.get("refusal"))
            if isinstance(text, str):
                yield text
