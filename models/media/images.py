"""Images from clients, whose limits are checked before any pixel is decoded.

They are data URLs, or files that the server has fetched for a part and keeps in it.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from typing import Any

from PIL import Image

from models.errors import InvalidRequestError
from models.media.decoder import FORMATS, DecodeError, decode

MAX_IMAGES = 20
"""Maximum number of images in the input of one response."""
MAX_IMAGE_BYTES = 10 * 1024 * 1024
"""Maximum size of one image file in bytes."""
MAX_IMAGE_PIXELS = 4096 * 4096
MAX_IMAGE_EDGE = 16_384
"""Maximum length of either edge in pixels."""
MAX_ASPECT_RATIO = 64
"""Maximum ratio of the edges. Models scale the shorter edge up to a fixed length."""
LOW_DETAIL_EDGE = 512
"""Length of the longer edge in pixels to which `detail: low` scales an image down."""

FETCHED = "fetched_image"
"""Key of an `input_image` part with the file that was fetched for it, as a data URL.

Clients neither send nor see it.
"""

_DATA_URL = re.compile(r"data:image/(png|jpe?g|webp|gif)(;[^,;]*)*;base64,", re.IGNORECASE)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """Image file that has passed its checks and is not decoded yet."""

    content: bytes
    is_low_detail: bool

    @property
    def digest(self) -> bytes:
        """BLAKE2b digest (16 bytes) of everything that determines the decoded image."""
        return blake2b(self.content, digest_size=16, salt=bytes([self.is_low_detail])).digest()


def read_image_part(part: dict[str, Any], param: str) -> ImageFile:
    """Return the file in an `input_image` part.

    Raises `InvalidRequestError` that names `param` if the part has no usable image.
    """
    if part.get("file_id"):
        raise InvalidRequestError(
            "Files are not kept here; send the image as a data URL in image_url.",
            param=f"{param}.file_id",
            code="unsupported_parameter",
        )
    url = part.get(FETCHED) or part.get("image_url") or ""
    content = _decode_url(url, f"{param}.image_url")
    file = ImageFile(content=content, is_low_detail=part.get("detail") == "low")
    _read_header(file, f"{param}.image_url")
    return file


def decode_image(file: ImageFile, param: str) -> Any:
    """Decode an image to RGB, rotated by its EXIF orientation; of an animation, the first frame.

    Raises `InvalidRequestError` that names `param` if the file is damaged.
    """
    _read_header(file, param)
    try:
        return decode(file.content, LOW_DETAIL_EDGE if file.is_low_detail else None)
    except DecodeError as error:
        raise _unreadable(error, param) from error


def is_remote(part: dict[str, Any]) -> bool:
    """Return True if the image of an `input_image` part is at an address and was not fetched."""
    return FETCHED not in part and _is_remote_url(part.get("image_url") or "")


def refuse_remote(param: str) -> InvalidRequestError:
    """Return the error for an address where images are not fetched."""
    return InvalidRequestError(
        "Images are taken as data URLs only: this server fetches nothing from addresses in "
        "requests (ANTIPHON_IMAGE_URLS). Send data:image/png;base64,… instead.",
        param=param,
        code="unsupported_value",
    )


def keep_fetched(part: dict[str, Any], content: bytes, param: str) -> None:
    """Keep the file that was fetched for a part in the part.

    Raises `InvalidRequestError` that names `param` if the file exceeds a limit or is no image.
    """
    if len(content) > MAX_IMAGE_BYTES:
        raise image_too_large(param)
    kind = _read_header(ImageFile(content=content, is_low_detail=False), param)
    encoded = base64.b64encode(content).decode()
    # Photos that hold further images open as MPO; the first of them is a JPEG.
    kind = "jpeg" if kind == "MPO" else kind.lower()
    part[FETCHED] = f"data:image/{kind};base64,{encoded}"


def without_fetched(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part as its client has sent it."""
    return {name: value for name, value in part.items() if name != FETCHED}


def gradient_url() -> str:
    """Return a small gradient image as a data URL, for tests of the image input."""
    buffer = BytesIO()
    Image.radial_gradient("L").resize((48, 32)).convert("RGB").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _decode_url(url: str, param: str) -> bytes:
    if _is_remote_url(url):
        raise refuse_remote(param)
    head = _DATA_URL.match(url)
    if head is None:
        message = "must be a data URL: data:image/png;base64,… (or jpeg, webp, gif)."
        raise InvalidRequestError(f"{param} {message}", param=param)
    encoded = url[head.end() :]
    if len(encoded) // 4 * 3 > MAX_IMAGE_BYTES + 3:
        raise image_too_large(param)
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{param} is not valid base64: {error}.", param=param) from error
    if len(content) > MAX_IMAGE_BYTES:
        raise image_too_large(param)
    return content


def _is_remote_url(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def _read_header(file: ImageFile, param: str) -> str:
    """Check the size in an image's header before memory of that size is allocated.

    Return the name of the file's format.
    """
    try:
        image = Image.open(BytesIO(file.content), formats=FORMATS)
    except _BOMB as error:
        raise _too_many_pixels(param) from error
    except Exception as error:  # a damaged file raises almost anything
        raise _unreadable(error, param) from error
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_many_pixels(param)
    longer, shorter = max(image.size), min(image.size)
    if longer > MAX_IMAGE_EDGE or longer > shorter * MAX_ASPECT_RATIO:
        raise InvalidRequestError(
            f"{param} is {image.width} x {image.height} pixels: an edge may have at most "
            f"{MAX_IMAGE_EDGE}, and at most {MAX_ASPECT_RATIO} times the other.",
            param=param,
            code="image_too_large",
        )
    return str(image.format)


def _unreadable(error: Exception, param: str) -> InvalidRequestError:
    message = f"{param} cannot be read as PNG, JPEG, WebP or GIF: {error}"
    return InvalidRequestError(message, param=param, code="invalid_image")


def image_too_large(param: str) -> InvalidRequestError:
    """Return the error for a file of too many bytes."""
    message = f"{param} is larger than {MAX_IMAGE_BYTES} bytes."
    return InvalidRequestError(message, param=param, code="image_too_large")


def _too_many_pixels(param: str) -> InvalidRequestError:
    message = f"{param} has more than {MAX_IMAGE_PIXELS} pixels."
    return InvalidRequestError(message, param=param, code="image_too_large")
