"""Image parts: formats that are read, and images refused before any pixel is decoded."""

import base64
import struct
import zlib

import pytest
from PIL import Image

from models.errors import InvalidRequestError
from models.media.images import MAX_IMAGE_BYTES, decode_image, read_image_part
from tests.pictures import data_url, file_of, picture

PNG = file_of(picture(0))


def refusal_of(url: str | None, **part: str) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        decode_image(read_image_part({"image_url": url, **part}, "input[0]"), "input[0]")
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """Return a PNG with a header that states the size, and no pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", b""), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_of_each_format_is_read(kind: str) -> None:
    file = read_image_part(
        {"image_url": data_url(file_of(picture(0), kind), f"image/{kind.lower()}")}, "it"
    )

    image = decode_image(file, "it")

    assert (image.mode, image.size) == ("RGB", (60, 40))


def test_an_image_is_turned_as_its_camera_was_held() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = file_of(picture(0), "JPEG", exif=exif)

    image = decode_image(read_image_part({"image_url": data_url(content)}, "it"), "it")

    assert image.size == (40, 60)


def test_low_detail_scales_down_and_is_another_image() -> None:
    url = data_url(file_of(picture(0, 1024, 256)))
    whole = read_image_part({"image_url": url, "detail": "high"}, "it")
    low = read_image_part({"image_url": url, "detail": "low"}, "it")

    assert decode_image(whole, "it").size == (1024, 256)
    assert decode_image(low, "it").size == (512, 128)
    assert whole.digest != low.digest


@pytest.mark.parametrize("url", ["http://example.com/a.png", "HTTPS://example.com/a.png"])
def test_an_address_is_refused_with_the_reason(url: str) -> None:
    error = refusal_of(url)

    assert error.param == "input[0].image_url"
    assert "fetches nothing" in error.message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "data URL"),
        ("data:image/tiff;base64,AAAA", "data URL"),
        ("data:image/png,AAAA", "data URL"),
        ("data:image/png;base64,A*A", "base64"),
        (data_url(b"no image"), "cannot be read"),
        (data_url(PNG[: len(PNG) // 2]), "cannot be read"),
        (data_url(b""), "cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(url: str | None, words: str) -> None:
    error = refusal_of(url)

    assert words in error.message
    assert error.http_status == 400


def test_a_stored_file_is_refused_by_name() -> None:
    assert refusal_of(None, file_id="file_1").param == "input[0].file_id"


def test_a_format_that_is_not_listed_is_not_even_tried() -> None:
    assert "cannot be read" in refusal_of(data_url(file_of(picture(0), "BMP"))).message


@pytest.mark.parametrize("size", [(4097, 4096), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))

    assert refusal_of(data_url(png_header(*size))).code == "image_too_large"


def test_a_large_file_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64, "b64decode", lambda *_, **__: pytest.fail("decoded"))
    url = "data:image/png;base64," + "A" * (MAX_IMAGE_BYTES * 4 // 3 + 8)

    assert refusal_of(url).code == "image_too_large"
