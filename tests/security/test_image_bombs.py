"""Images that are cheap to send and expensive to decode (finding B9)."""

import resource
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from models.errors import InvalidRequestError
from models.media import decoder
from models.media.decoder import DecodeError, decode
from models.media.images import decode_image, read_image_part
from tests.pictures import data_url, file_of, picture


def png(width: int, height: int, *, bits: int = 8, color_type: int = 2, rows: int = 1) -> bytes:
    """Return a PNG of zeros; all but `rows` of its rows are missing."""
    channels = {0: 1, 2: 3, 6: 4}[color_type]
    row = b"\0" * (1 + width * channels * bits // 8)

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack("!I", zlib.crc32(name + data))
        return struct.pack("!I", len(data)) + name + data + checksum

    header = struct.pack("!IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    data = zlib.compress(row * rows, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (1, 16_777_216),
        (16_777_216, 1),
        (2, 8_388_608),
        (1, 16_384),
        (16_385, 1023),
        (100, 6401),
        (6401, 100),
    ],
)
def test_an_image_with_a_long_edge_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_image_part({"image_url": data_url(png(width, height))}, "input[0].content[0]")

    assert raised.value.code == "image_too_large"
    assert raised.value.param == "input[0].content[0].image_url"
    assert f"{width} x {height}" in raised.value.message


@pytest.mark.parametrize(("width", "height"), [(16_384, 1024), (64, 1), (1, 64), (4096, 4096)])
def test_an_image_within_the_limits_is_taken(width: int, height: int) -> None:
    file = read_image_part({"image_url": data_url(png(width, height, rows=height))}, "it")

    assert decode_image(file, "it").size == (width, height)


@contextmanager
def growth_of_this_process() -> Iterator[list[int]]:
    found: list[int] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield found
    found.append((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def test_decoding_costs_this_process_no_more_than_the_pixels() -> None:
    content = png(4096, 4096, bits=16, color_type=6, rows=4096)

    with growth_of_this_process() as grown:
        image = decode(content, 512)

    assert image.size == (512, 512)
    assert grown[0] < 64 << 20


def test_a_decoder_over_its_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_serve", _serve_with_little_memory)

    with pytest.raises(DecodeError, match="memory"):
        decode(png(4096, 4096, rows=4096))


def test_a_decoder_that_computes_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_serve", _compute_without_end)

    with pytest.raises(DecodeError, match="more memory or time"):
        decode(file_of(picture(0)))


def test_a_decoder_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_serve", _never_answer)

    with pytest.raises(DecodeError, match=r"more than 0\.5 s to decode"):
        decode(file_of(picture(0)), max_wall_s=0.5)


def test_a_decoder_that_crashes_fails_its_image_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(decoder, "_serve", _crash)
        with pytest.raises(DecodeError):
            decode(file_of(picture(0)))

    assert decode(file_of(picture(0))).size == picture(0).size


def test_pixels_are_those_of_the_file() -> None:
    original = picture(3)
    buffer = BytesIO()
    original.save(buffer, "PNG")

    decoded: Image.Image = decode(buffer.getvalue())

    assert decoded.tobytes() == original.tobytes()


def _serve_with_little_memory(connection: Any) -> None:
    decoder.MAX_MEMORY_BYTES = 32 << 20
    decoder.__dict__["_serve"](connection)


def _compute_without_end(connection: Any) -> None:
    decoder.MAX_CPU_S = 1
    decoder.__dict__["_limit_resources"]()
    while True:
        pass


def _never_answer(connection: Any) -> None:
    connection.recv()
    connection.recv()


def _crash(connection: Any) -> None:
    connection.recv()
    connection.close()
