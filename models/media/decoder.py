"""Decoding of images in processes with limits, apart from the process that serves requests.

A file of few bytes may take seconds and gigabytes to decode, or crash the decoder: only its child
process pays for that.
"""

import multiprocessing
import resource
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_CPU_S = 10
"""CPU seconds that a decoder may use."""
MAX_WALL_S = 30.0
"""Seconds to wait for a decoder, its start included."""
MAX_MEMORY_BYTES = 512 << 20
"""Address space that a decoder may use beyond what it has at its start."""

# Children fork from a small process that has only loaded the decoders.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["models.media.decoder"])


class DecodeError(Exception):
    """The image cannot be decoded within the limits; the message says why."""


def decode(content: bytes, max_edge: int | None = None, *, max_wall_s: float = MAX_WALL_S) -> Any:
    """Decode a file to an RGB image, rotated by its EXIF orientation.

    An image with a longer edge of more than `max_edge` pixels is scaled down. Raises `DecodeError`.
    """
    ours, theirs = _context.Pipe()
    process = _context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        with ours:
            ours.send((content, max_edge))
            if not ours.poll(max_wall_s):
                raise DecodeError(f"it takes more than {max_wall_s:g} s to decode")
            result = ours.recv()
    except (EOFError, ConnectionError) as error:
        raise DecodeError("it takes more memory or time to decode than is allowed") from error
    finally:
        process.kill()
        process.join()
    if isinstance(result, str):
        raise DecodeError(result)
    size, pixels = result
    return Image.frombytes("RGB", size, pixels)


def _serve(connection: Connection) -> None:
    """Decode one image in a child process; answer (size, pixels) or the text of the error."""
    _limit_resources()
    content, max_edge = connection.recv()
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
        upright = ImageOps.exif_transpose(image).convert("RGB")
        if max_edge is not None:
            upright.thumbnail((max_edge, max_edge))
        connection.send((upright.size, upright.tobytes()))
    except MemoryError:
        connection.send("it takes more memory to decode than is allowed")
    except Exception as error:  # a damaged file raises almost anything
        connection.send(str(error))


def _limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    size = Path("/proc/self/statm")
    if size.exists():  # elsewhere than on Linux, address space is not limited
        used = int(size.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MAX_MEMORY_BYTES, used + MAX_MEMORY_BYTES))
