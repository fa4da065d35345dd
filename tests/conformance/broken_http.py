"""Strategies of bytes that are almost HTTP: requests with parts replaced and bytes changed."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

_SMALL = b'{"input":1}'

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """Parts of the bytes of one request."""

    line: bytes
    headers: Headers
    body: bytes = b""

    def data(self) -> bytes:
        """Return the bytes of the request."""
        fields = b"".join(name + b": " + value + b"\r\n" for name, value in self.headers)
        return self.line + b"\r\n" + fields + b"\r\n" + self.body


_HOST = (b"Host", b"localhost")
_CLOSE = (b"Connection", b"close")
_JSON = (b"Content-Type", b"application/json")
_POST = (_HOST, _CLOSE, _JSON)
_HANDSHAKE: Headers = (
    _HOST,
    (b"Connection", b"Upgrade, close"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Version", b"13"),
)
_GET = Message(b"GET /v1/responses?limit=1 HTTP/1.1", (_HOST, _CLOSE))
_SIZED = Message(
    b"POST /v1/responses/input_tokens HTTP/1.1", (*_POST, (b"Content-Length", b"11")), _SMALL
)
_CHUNKED = Message(
    b"POST /v1/responses/input_tokens HTTP/1.1", (*_POST, (b"Transfer-Encoding", b"chunked"))
)

_junk = st.binary(max_size=40)
_long = st.sampled_from([100, 9_000, 66_000, 140_000]).map(lambda size: b"a" * size)
_bad = (
    st.sampled_from(
        [b"", b"\0", b" ", b"\t", b"\r", b"\n", b":", b"\xff", b"\x7f", b"\xe2\x80\xae"]
    )
    | _junk
    | _long
)
_methods = st.sampled_from(
    [b"GET", b"POST", b"PUT", b"get", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI"]
)
_versions = st.sampled_from(
    [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"http/1.1", b"HTTP/1", b""]
)
_targets = st.sampled_from(
    [
        b"/livez",
        b"/v1/models?a=%zz&%00",
        b"/v1/responses/%00",
        b"/%ff%fe/../..//v1/\\",
        b"*",
        b"//",
        b"/v1/conversations/\xff",
        b"http://localhost/livez",
        b"HTTP://user:word@[::1]:99999/v1/models",
        b"http://[::1/v1/models",
        b"http:///livez",
        b"ftp://localhost/livez",
        b"localhost:443",
        b"livez",
        b"/v1/responses?metadata[k]=%F0%9F",
        b"/v1/responses#fragment",
    ]
)
_lines = st.tuples(
    _methods | _bad, _targets | _bad, _versions | _bad, st.sampled_from([b" ", b"  ", b"\t", b""])
).map(lambda parts: parts[3].join(parts[:3]))
_fields = st.sampled_from(
    [
        (b"Content-Length", b"12"),
        (b"Content-Length", b"-1"),
        (b"Content-Length", b"+11"),
        (b"Content-Length", b"11, 11"),
        (b"Content-Length", b"1_1"),
        (b"Content-Length", b"9" * 30),
        (b"Content-Length ", b"11"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Transfer-Encoding", b"chunked, chunked"),
        (b"Transfer-Encoding", b"gzip, chunked"),
        (b"Transfer-Encoding", b"\x0bchunked"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Encoding", b"zstd, gzip"),
        (b"Content-Type", b"application/json; charset=\xff"),
        (b"Host", b"other"),
        (b"Host", b"a b\xff"),
        (b"Expect", b"100-continue"),
        (b"Expect", b"the unexpected"),
        (b"Upgrade", b"h2c"),
        (b"Connection", b"keep-alive, close"),
        (b"Authorization", b"Bearer \xff"),
        (b"Origin", b"http://[::1"),
        (b"Idempotency-Key", b"\xff" * 300),
        (b"X-Request-Id", b"a b"),
        (b"X-Forwarded-For", b"999.1.1.1"),
        (b"Accept-Encoding", b";q=x"),
        (b"Range", b"bytes=-"),
        (b" folded", b"x"),
    ]
) | st.tuples(_bad, _bad)
_sizes = st.sampled_from(
    [b"b", b"B", b"000b", b"0", b"-1", b"0xb", b"zz", b" b", b"b ", b"", b"f" * 20, b"0" * 30]
)
_extensions = st.sampled_from([b"", b";", b";n=v", b';n="\r\n"', b";\0", b";\xff"]) | _long.map(
    lambda value: b";" + value
)
_ends = st.sampled_from([b"\r\n", b"\n", b"\r", b"XX", b""])
_trailers = st.sampled_from(
    [
        b"\r\n",
        b"X: y\r\n\r\n",
        b"Content-Length: 3\r\n\r\n",
        b"no trailer\r\n\r\n",
        b"\0: x\r\n\r\n",
        b": x\r\n\r\n",
        b" x: y\r\n\r\n",
        b"",
    ]
) | _long.map(lambda value: b"X: " + value + b"\r\n\r\n")
_chunks = st.tuples(_sizes, _extensions, _ends, _ends).map(
    lambda parts: parts[0] + parts[1] + parts[2] + _SMALL + parts[3]
)
_bodies = st.tuples(
    st.lists(_chunks, min_size=1, max_size=2),
    st.sampled_from([b"0\r\n", b"00;a=b\r\n", b"-0\r\n"]),
    _trailers,
).map(lambda parts: b"".join(parts[0]) + parts[1] + parts[2])
_handshakes = st.lists(
    st.sampled_from(
        [
            (b"Sec-WebSocket-Version", b"99"),
            (b"Sec-WebSocket-Version", b"\xff"),
            (b"Sec-WebSocket-Key", b"c2hvcnQ="),
            (b"Sec-WebSocket-Key", b"\xff" * 24),
            (b"Sec-WebSocket-Key", b""),
            (b"Upgrade", b"websocket, h2c"),
            (b"Sec-WebSocket-Extensions", b"permessage-deflate; server_max_window_bits=99"),
            (b"Sec-WebSocket-Extensions", b'x;"'),
            (b"Sec-WebSocket-Protocol", b"\xff, ,"),
        ]
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def broken_requests(draw: st.DrawFn) -> bytes:
    """Return the bytes of a request of which one part, or some bytes, are not as they must be."""
    kind = draw(st.sampled_from(["line", "headers", "chunks", "handshake", "bytes", "junk"]))
    if kind == "junk":
        return draw(st.binary(min_size=1, max_size=200)) + b"\r\n\r\n"
    if kind == "chunks":
        return replace(_CHUNKED, body=draw(_bodies)).data()
    if kind == "handshake":
        return draw(_broken_handshakes())
    message = draw(st.sampled_from([_GET, _SIZED]))
    if kind == "line":
        return replace(message, line=draw(_lines)).data()
    if kind == "headers":
        added = tuple(draw(st.lists(_fields, min_size=1, max_size=3)))
        return replace(message, headers=message.headers + added).data()
    return _with_other_bytes(draw, message.data())


@st.composite
def _broken_handshakes(draw: st.DrawFn) -> bytes:
    changed = dict(draw(_handshakes))
    names = draw(st.sets(st.sampled_from([name for name, _ in _HANDSHAKE]), max_size=2))
    kept = [pair for pair in _HANDSHAKE if pair[0] not in changed and pair[0] not in names]
    return Message(b"GET /v1/responses HTTP/1.1", (*kept, *changed.items())).data()


def _with_other_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(changed) - 1))
        end = start + draw(st.integers(0, 3))
        changed[start:end] = draw(st.binary(max_size=3))
        if not changed:
            break
    return bytes(changed) + b"\r\n\r\n"
