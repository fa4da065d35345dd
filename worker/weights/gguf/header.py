"""Header of a GGUF file: the entries of its metadata and the table of its tensors.

Numbers in a damaged header are anything, and the file may be larger than memory: each length is
compared with a limit before as much is read.
"""

import mmap
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from worker.engine.interface import BadCheckpointError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_FORMATS = {
    **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i"},
    **{6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"},
}
"""Formats of `struct` of the types of values that have one size."""
_STRING, _ARRAY = 8, 9
_MAX_TEXT = 1 << 24
_MAX_ITEMS = 1 << 21
"""Most items of an array; vocabularies and their merges have some 500,000."""
_MAX_AXES = 4
_MAX_LENGTH = 1 << 40
_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
_LFS = b"version "


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A row of the table of tensors."""

    name: str
    shape: tuple[int, ...]
    """Shape in the order of torch; a file has the axes the other way round."""
    kind: int
    """Number of its type."""
    start: int
    """Place of the first byte in the file."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata and table of tensors of one file."""

    metadata: dict[str, Any]
    tensors: dict[str, TensorEntry]


def read_header(file: Path) -> GgufHeader:
    """Read the header of a file, or of one part; raise `BadCheckpointError` if it has no whole one.

    No bytes of tensors are read.
    """
    try:
        # An empty file cannot be mapped, which is a `ValueError`, too.
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _read(_Cursor(content))
    except OSError as error:
        raise BadCheckpointError(f"{file.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadCheckpointError(f"{file.name} cannot be read as GGUF: {error}") from error


class _Cursor:
    """Place in a file from which values are read one after the other."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self.position = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes; raise `ValueError` if there are not as many."""
        start, self.position = self.position, self.position + size
        if self.position > len(self._content):
            raise ValueError(f"its header is cut off, at {len(self._content)} bytes")
        return self._content[start : self.position]

    def unpack(self, form: str) -> tuple[Any, ...]:
        """Return the next values, which have the given format of `struct`."""
        return struct.unpack(f"<{form}", self.read(struct.calcsize(f"<{form}")))

    def text(self) -> str:
        """Return the next string."""
        return self.texts(1)[0]

    def texts(self, count: int) -> list[str]:
        """Return the next strings, of which vocabularies have hundreds of thousands."""
        content, end, unpack = self._content, self.position, _SIZE.unpack_from
        found: list[str] = []
        try:
            for _ in range(count):
                start = end + 8
                end = start + unpack(content, end)[0]
                if end - start > _MAX_TEXT:
                    raise ValueError(f"its header is damaged: a text of {end - start} bytes")
                found.append(str(content[start:end], "utf-8"))
        except UnicodeDecodeError:
            raise ValueError("its header is damaged: a text that is not UTF-8") from None
        except struct.error:
            self.read(end + 8 - self.position)
        self.read(end - self.position)
        return found


_SIZE = struct.Struct("<Q")


def _read(cursor: _Cursor) -> GgufHeader:
    _check_beginning(cursor)
    num_tensors, num_entries = cursor.unpack("QQ")
    metadata: dict[str, Any] = {}
    for _ in range(num_entries):
        if (key := cursor.text()) in metadata:
            raise ValueError(f"its header is damaged: the entry {key!r} is there twice")
        metadata[key] = _read_value(cursor, key, *cursor.unpack("I"))
    rows = _read_table(cursor, num_tensors)
    return GgufHeader(metadata, _place(rows, cursor.position, metadata))


def _check_beginning(cursor: _Cursor) -> None:
    magic = cursor.read(len(_MAGIC))
    if magic == _LFS[: len(magic)]:
        raise ValueError("it is a pointer of Git LFS, not the file: run git lfs pull")
    if magic != _MAGIC:
        raise ValueError("it does not begin with GGUF")
    (version,) = cursor.unpack("I")
    if version in _VERSIONS:
        return
    if int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS:
        raise ValueError("its numbers are big-endian, which is not read")
    raise ValueError(f"it has version {version}, and 2 and 3 are read")


def _read_value(cursor: _Cursor, key: str, kind: int) -> Any:
    if kind in _FORMATS:
        return cursor.unpack(_FORMATS[kind])[0]
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY:
        raise ValueError(f"its header is damaged: {key} is of an unknown type, {kind}")
    item_kind, count = cursor.unpack("IQ")
    if count > _MAX_ITEMS:
        raise ValueError(f"its header is damaged: {key} has {count} items")
    if item_kind == _STRING:
        return cursor.texts(count)
    if item_kind not in _FORMATS:
        raise ValueError(f"its header is damaged: {key} has items of an unknown type, {item_kind}")
    return list(cursor.unpack(f"{count}{_FORMATS[item_kind]}"))


def _read_table(cursor: _Cursor, count: int) -> list[TensorEntry]:
    found: dict[str, TensorEntry] = {}
    for _ in range(count):
        if (name := cursor.text()) in found:
            raise ValueError(f"its header is damaged: the tensor {name!r} is there twice")
        (num_axes,) = cursor.unpack("I")
        if num_axes > _MAX_AXES:
            raise ValueError(f"its header is damaged: {name} has {num_axes} axes")
        shape = tuple(reversed(cursor.unpack(f"{num_axes}Q")))
        if any(not 0 < length < _MAX_LENGTH for length in shape):
            raise ValueError(f"its header is damaged: {name} has the shape {list(shape)}")
        found[name] = TensorEntry(name, shape, *cursor.unpack("IQ"))
    return list(found.values())


def _place(rows: list[TensorEntry], end: int, metadata: dict[str, Any]) -> dict[str, TensorEntry]:
    """Return tensors with their places in the file, of which the header ends at `end`."""
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= _MAX_ALIGNMENT:
        raise ValueError(f"its header is damaged: general.alignment is {alignment!r}")
    start = -(-end // alignment) * alignment
    return {row.name: replace(row, start=start + row.start) for row in rows}
