"""Content codings of HTTP: gzip, deflate and zstd (RFC 9110 §8.4), decompressed in pieces."""

import zlib
from collections.abc import Iterator

import zstandard

CODINGS = ("gzip", "deflate", "zstd")
"""Content codings that can be decompressed."""

_PIECE_BYTES = 1 << 20
_WINDOW_BYTES = 1 << 25
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class DamagedContentError(Exception):
    """The data is cut off, or is no data of its coding."""


def name_of_coding(header: str | None) -> str | None:
    """Return the coding that a `Content-Encoding` header names, known or not; None for none."""
    coding = (header or "identity").strip().lower().removeprefix("x-")
    return None if coding == "identity" else coding


def decompress_pieces(data: bytes, coding: str) -> Iterator[bytes]:
    """Yield the content in pieces of up to 1 MiB, so that the caller can stop at any size.

    `coding` is one of `CODINGS`. Raises `DamagedContentError`; a frame of zstd that is cut off
    ends early instead.
    """
    try:
        yield from _from_zstd(data) if coding == "zstd" else _from_zlib(data, coding)
    except (zlib.error, zstandard.ZstdError, EOFError):
        raise DamagedContentError from None


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
    """Return zlib's `wbits`; some programs send `deflate` without zlib's header."""
    if coding == "gzip":
        return _GZIP
    has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
    return _ZLIB if has_header else _RAW


def _from_zstd(data: bytes) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    reader = decompressor.stream_reader(data, read_across_frames=True)
    while piece := reader.read(_PIECE_BYTES):
        yield piece
