"""Compressed request bodies: `Content-Encoding` of gzip, deflate or zstd (RFC 9110 §8.4)."""

import io
from collections.abc import Callable

from api.http.protocol_errors import RequestTooLargeError
from models.content_coding import (
    CODINGS,
    DamagedContentError,
    decompress_pieces,
    name_of_coding,
)
from models.errors import AppError, InvalidRequestError

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
    coding = name_of_coding(header)
    if coding is not None and coding not in CODINGS:
        raise UnsupportedEncodingError(coding)
    return coding


def decompress(data: bytes, coding: str, *, max_bytes: int, grow: Grow) -> bytes:
    """Return the content of a compressed body.

    It is decompressed in pieces: a body of more than `max_bytes` is refused as soon as it has so
    many, and one that is cut off or is no such data is refused with a 400.
    """
    content = io.BytesIO()
    try:
        for piece in decompress_pieces(data, coding):
            if content.tell() + len(piece) > max_bytes:
                raise RequestTooLargeError(f"The body is larger than {max_bytes} bytes.")
            grow(len(piece))
            content.write(piece)
    except DamagedContentError:
        message = f"The body is not valid {coding} data."
        raise InvalidRequestError(message, code="invalid_content_encoding") from None
    return content.getvalue()
