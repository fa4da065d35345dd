"""Compressed request bodies: `Content-Encoding` of gzip, deflate or zstd (RFC 9110 §8.4)."""

import io
import zlib
from collections.abc import Callable, Iterator

import zstandard

from api.http.protocol_errors import RequestTooLargeError
from models.errors import AppError, InvalidRequestError

CODINGS = ("gzip", "deflate", "zstd")
"""Content codings that are served."""

_PIECE_BYTES = 1 << 20
_WINDOW_BYTES = 1 << 25
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS

Grow = Callable[[int], None]
"""Called with the number of bytes before they are added to the body; may raise an `AppError`."""


class UnsupportedEncodingError(AppError):
    """The body has a content coding that is not served here."""

    http_status = 415
    type = "invalid_request_error"
    default_code = "unsupported_content_encoding"

    def __init__(self, coding: str) -> None:
        served = ", ".join(CODINGS)
        super().__init__(f"Content-Encoding '{coding}' is not served; served: {served}.")


def find_coding(header: str | None) -> str | None:
    """Return the coding of a `Content-Encoding` header, None for no coding.

    Raise a 415 for others than `CODINGS`, and for several at once.
    """
    coding = (header or "identity").strip().lower().removeprefix("x-")
    if coding == "identity":
        return None
    if coding not in CODINGS:
        raise UnsupportedEncodingError(coding)
    return coding


def decompress(data: bytes, coding: str, *, max_bytes: int, grow: Grow) -> bytes:
    """Return the content of a compressed body.

    It is decompressed in pieces: a body of more than `max_bytes` is refused as soon as it has so
    many, and one that is cut off or is no such data is refused with a 400.
    """
    content = io.BytesIO()
    source = _from_zstd(data) if coding == "zstd" else _from_zlib(data, coding)
    try:
        for piece in source:
            if content.tell() + len(piece) > max_bytes:
                raise RequestTooLargeError(f"The body is larger than {max_bytes} bytes.")
            grow(len(piece))
            content.write(piece)
    except (zlib.error, zstandard.ZstdError, EOFError):
        message = f"The body is not valid {coding} data."
        raise InvalidRequestError(message, code="invalid_content_encoding") from None
    return content.getvalue()


def _from_zlib(data: bytes, coding: str) -> Iterator[bytes]:
    while data:  # gzip data may have several members
        decompressor = zlib.decompressobj(_window_bits(data, coding))
        while not decompressor.eof:
            piece = decompressor.decompress(data, _PIECE_BYTES)
            data = decompressor.unconsumed_tail
            if not piece and not data and not decompressor.eof:
                raise EOFError
            yield piece
        data = decompressor.unused_data
        if coding != "gzip" and data:
            raise EOFError


def _window_bits(data: bytes, coding: str) -> int:
    """Return zlib's `wbits`; some clients send `deflate` without zlib's header."""
    if coding == "gzip":
        return _GZIP
    has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
    return _ZLIB if has_header else _RAW


def _from_zstd(data: bytes) -> Iterator[bytes]:
    """Yield the content; of a frame that is cut off, what there is: it is no whole JSON either."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    reader = decompressor.stream_reader(data, read_across_frames=True)
    while piece := reader.read(_PIECE_BYTES):
        yield piece
