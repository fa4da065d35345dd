"""Strategies of requests that are almost valid: bodies with changes in them, bytes, and headers."""

import gzip
import json
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

_USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "x"}
_SAID = {"role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]}
_TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
_SCHEMA = {"type": "json_schema", "name": "s", "schema": {"type": "object", "properties": {}}}
_IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8=", "detail": "low"}

_RESPONSES: list[dict[str, Any]] = [
    {"input": "Hello."},
    {"input": [_USER, _SAID, {"role": "user", "content": "c"}], "instructions": "Be brief."},
    {"input": [_USER, _CALL, _OUTPUT], "tools": [_TOOL], "tool_choice": "auto"},
    {"input": "a", "tools": [_TOOL], "tool_choice": {"type": "function", "name": "f"}},
    {"input": "a", "text": {"format": _SCHEMA, "verbosity": "low"}},
    {"input": "a", "response_format": {"type": "json_object"}, "seed": 1, "n": 2},
    {"input": "a", "temperature": 0.5, "top_p": 0.9, "stop": ["x"], "logit_bias": {"1": 1.5}},
    {"input": [{"role": "user", "content": [_IMAGE]}], "metadata": {"k": "v"}},
    {"input": "a", "grammar": {"type": "regex", "value": "a+"}, "max_output_tokens": 16},
    {"input": "a", "reasoning": {"effort": "low", "summary": "auto"}, "include": []},
    {"input": [{"type": "reasoning", "summary": []}, {"type": "item_reference", "id": "m"}]},
    {"input": "a", "previous_response_id": "resp_0", "store": False, "truncation": "auto"},
    {"input": "a", "conversation": {"id": "conv_0"}, "service_tier": "flex"},
    {"input": "a", "stream": True, "stream_options": {"include_obfuscation": False}},
]
_ITEMS = {"items": [_USER, _CALL, _OUTPUT], "metadata": {"k": "v"}}
_HOOK = {"url": "https://example.com/h", "name": "n", "event_types": ["response.completed"]}
TARGETS: list[tuple[str, list[dict[str, Any]]]] = [
    ("/v1/responses", _RESPONSES),
    ("/v1/responses/input_tokens", _RESPONSES),
    ("/v1/responses/compact", [{"model": "scripted", "input": [_USER, _SAID]}]),
    ("/v1/conversations", [_ITEMS]),
    ("/v1/conversations/{conversation_id}", [{"metadata": {"k": "v"}}]),
    ("/v1/conversations/{conversation_id}/items", [{"items": [_USER]}]),
    ("/v1/webhook_endpoints", [_HOOK]),
    ("/v1/responses/{response_id}/cancel", [{}]),
]

_TEXT = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    [
        "",
        "\0",
        "\ud800",
        "\udc00\ud800",
        "\x1b[31m",
        "\u202e",
        "<|im_end|>",
        "__proto__",
        "a" * 5000,
    ]
)
_NUMBER = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 2**64, 10**400])
_LEAF = st.none() | st.booleans() | _NUMBER | _TEXT
VALUE = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
_CODINGS = ["gzip", "deflate", "zstd", "br", "identity", "gzip, gzip", "\xff"]
_TYPES = [
    "text/plain",
    "application/json; charset=utf-16",
    "application/x+json",
    "",
    "a/b;=",
    "\xff",
]
_HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=300)


@dataclass(kw_only=True)
class GeneratedRequest:
    """Request as bytes, with its headers."""

    path: str
    data: bytes
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


@st.composite
def mutated_bodies(draw: st.DrawFn, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw one of the bodies with up to three changes."""
    body: dict[str, Any] = deepcopy(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(0, 3))):
        _change(draw, body)
    return body


def _change(draw: st.DrawFn, body: dict[str, Any]) -> None:
    """Replace, remove or add something at a random place."""
    target: Any = body
    while True:
        inner = [value for value in _values(target) if isinstance(value, dict | list) and value]
        if not inner or draw(st.booleans()):
            break
        target = draw(st.sampled_from(inner))
    keys: list[Any] = list(target) if isinstance(target, dict) else list(range(len(target)))
    match draw(st.sampled_from(["replace", "remove", "add", "repeat"])):
        case "replace" if keys:
            target[draw(st.sampled_from(keys))] = draw(VALUE)
        case "remove" if keys:
            del target[draw(st.sampled_from(keys))]
        case "repeat" if isinstance(target, list):
            target *= draw(st.integers(0, 30))
        case _ if isinstance(target, dict):
            target[draw(_TEXT)] = draw(VALUE)
        case _:
            target.append(draw(VALUE))


def _values(target: Any) -> list[Any]:
    return list(target.values()) if isinstance(target, dict) else list(target)


@st.composite
def requests(draw: st.DrawFn, ids: dict[str, list[str]]) -> GeneratedRequest:
    """Draw a request whose body, bytes, headers or query string are wrong in some way."""
    path, bodies = draw(st.sampled_from(TARGETS))
    for name, known in ids.items():
        path = path.replace("{" + name + "}", draw(st.sampled_from(known)))
    body = draw(mutated_bodies(bodies))
    if path == "/v1/responses" and not body.get("stream"):
        body.setdefault("background", True)
    data = json.dumps(body, ensure_ascii=True).encode()
    headers = {"Content-Type": "application/json"}
    match draw(st.integers(0, 9)):
        case 0:
            data = _damage(draw, data)
        case 1:
            headers["Content-Encoding"] = draw(st.sampled_from(_CODINGS))
            data = _damage(draw, gzip.compress(data)) if draw(st.booleans()) else data
        case 2:
            headers["Content-Type"] = draw(st.sampled_from(_TYPES))
        case 3:
            names = ["Idempotency-Key", "x-request-id", "Origin", "Authorization", "Accept"]
            headers[draw(st.sampled_from(names))] = draw(_HEADER_TEXT)
    return GeneratedRequest(path=path, data=data, headers=headers)


def _damage(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut some bytes out, or put others in."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 20)))
    return data[:start] + draw(st.binary(max_size=8)) + data[end:]


_PATHS = [
    "/v1/responses",
    "/v1/responses/{response_id}",
    "/v1/responses/{response_id}/input_items",
    "/v1/conversations/{conversation_id}",
    "/v1/conversations/{conversation_id}/items",
    "/v1/conversations/{conversation_id}/items/{item_id}",
    "/v1/models",
    "/v1/models/{model}",
    "/v1/webhook_endpoints",
    "/v1/webhook_endpoints/{other}",
    "/{other}",
]
_QUERIES = ["limit", "after", "before", "order", "include[]", "include", "metadata[k]", "model"]
_QUERIES += ["status", "stream", "starting_after", "include_obfuscation", "metadata[", "x"]


@st.composite
def reads(draw: st.DrawFn, ids: dict[str, list[str]]) -> GeneratedRequest:
    """Draw a request without a body, of any method, with a query string."""
    path = draw(st.sampled_from(_PATHS))
    for name in ("response_id", "conversation_id", "item_id", "model", "other"):
        known = st.sampled_from(ids[name]) if name in ids else st.nothing()
        path = path.replace("{" + name + "}", draw(known | _QUOTED))
    names = st.sampled_from(_QUERIES) | _QUOTED
    values = st.sampled_from(["1", "0", "-1", "true", "asc", "100", "1e9"]) | _QUOTED
    pairs = draw(st.lists(st.tuples(names, values), max_size=3))
    query = "&".join(f"{name}={value}" for name, value in pairs if name != "stream")
    methods = ["GET"] * 6 + ["HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "DELETE"]
    return GeneratedRequest(path=f"{path}?{query}", data=b"", method=draw(st.sampled_from(methods)))


_QUOTED = st.binary(max_size=12).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw))
