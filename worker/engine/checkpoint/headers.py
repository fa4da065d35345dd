"""Headers of safetensors files: names, types and shapes of tensors, without the tensors.

A file is the length of the header in 8 bytes, the header as JSON, then the data.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import orjson

from worker.engine.interface import BadCheckpointError

_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000
"""Longest header that the library of the format reads."""
ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Bits of a number of each type of the format."""


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """Type, shape and place of a tensor in its file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def num_bytes(self) -> int:
        """Size of the tensor as it is stored."""
        return self.end - self.start


def read_header(file: Path) -> dict[str, TensorHeader]:
    """Return the tensors of a safetensors file, by name.

    Raises `BadCheckpointError` unless the header can be read and describes just this file.
    """
    try:
        stat = file.stat()
        return _read_header(file, stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError as error:
        raise BadCheckpointError(f"{file.name} is missing") from error
    except OSError as error:
        raise BadCheckpointError(f"{file.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadCheckpointError(f"{file.name} is damaged: {error}") from error


@lru_cache(maxsize=1024)
def _read_header(file: Path, num_bytes: int, changed: int) -> dict[str, TensorHeader]:
    """Read a header; those of large models are megabytes, and read by several checks."""
    del changed
    length, header = _load(file, num_bytes)
    tensors = {
        name: _parse(name, entry) for name, entry in header.items() if name != "__metadata__"
    }
    _check_places(tensors)
    end = max((tensor.end for tensor in tensors.values()), default=0)
    expected = _LENGTH_BYTES + length + end
    if num_bytes != expected:
        raise ValueError(f"it has {num_bytes} of {expected} bytes")
    return tensors


def _load(file: Path, num_bytes: int) -> tuple[int, dict[str, Any]]:
    with file.open("rb") as opened:
        beginning = opened.read(_LENGTH_BYTES)
        length = int.from_bytes(beginning, "little")
        if len(beginning) < _LENGTH_BYTES:
            raise ValueError("it is shorter than the length of a header")
        if beginning.startswith(b"version "):
            raise ValueError("it is a pointer of Git LFS, not the file: run git lfs pull")
        if length > _MAX_HEADER:
            raise ValueError("it does not begin with the length of a header")
        if length > num_bytes - _LENGTH_BYTES:
            raise ValueError(f"its header has {length} bytes, the file {num_bytes}")
        text = opened.read(length)
    try:
        header = orjson.loads(text)
    except ValueError:
        raise ValueError("its header is no JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")  # noqa: TRY004 - of the file, not of ours
    return length, header


def _parse(name: str, entry: Any) -> TensorHeader:
    try:
        start, end = entry["data_offsets"]
        tensor = TensorHeader(str(entry["dtype"]), tuple(entry["shape"]), int(start), int(end))
        num_bits = prod(tensor.shape) * ITEM_BITS.get(tensor.dtype, 0)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"its header does not describe the tensor {name}") from None
    if tensor.dtype not in ITEM_BITS:
        raise ValueError(f"the tensor {name} is of an unknown type, {tensor.dtype}")
    if num_bits != 8 * tensor.num_bytes:
        raise ValueError(f"the tensor {name} has {tensor.num_bytes} bytes for its shape")
    return tensor


def _check_places(tensors: dict[str, TensorHeader]) -> None:
    """Raise `ValueError` unless the tensors lie one after the other, from the first byte on."""
    places = sorted((tensor.start, tensor.end) for tensor in tensors.values())
    for (_, end), (start, _) in pairwise([(0, 0), *places]):
        if start != end:
            raise ValueError("its tensors overlap, or leave gaps")
