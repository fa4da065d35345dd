"""Test images, as files and as data URLs."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 60, height: int = 40) -> Image.Image:
    """Return an image of random pixels, determined by `seed`."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode an image in a file format."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def data_url(content: bytes, media_type: str = "image/png") -> str:
    """Encode a file as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def picture_url(seed: int = 0, width: int = 60, height: int = 40) -> str:
    """Return a random image as a data URL."""
    return data_url(file_of(picture(seed, width, height)))
