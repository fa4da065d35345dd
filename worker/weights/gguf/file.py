"""GGUF files: metadata and the places of tensors, of one file or of all parts of a split one."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

from worker.engine.checkpoint.files import name_some
from worker.engine.interface import BadCheckpointError

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_ERRORS = (OSError, ValueError, KeyError, struct.error, UnicodeDecodeError, MemoryError)


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor of a GGUF file, which is read only when its values are asked for."""

    name: str
    shape: tuple[int, ...]
    """Shape in the order of torch."""
    kind: gguf.GGMLQuantizationType
    file: Path = field(repr=False)
    start: int
    num_bytes: int

    def read(self) -> NDArray[np.float32]:
        """Return the values, dequantised."""
        data = np.memmap(self.file, np.uint8, "r", self.start, (self.num_bytes,))
        rows = data.reshape(*self.shape[:-1], -1)
        values: NDArray[np.float32] = gguf.quants.dequantize(rows, self.kind)
        # A copy, as values that are not quantised are still the file.
        return values.astype(np.float32).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class GgufFile:
    """Metadata and tensors of a GGUF file."""

    architecture: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]
    asked: set[str] = field(default_factory=set, repr=False, compare=False)
    """Short names of the entries that have been asked for."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return an entry of the metadata that belongs to the architecture, by its short name."""
        self.asked.add(key)
        return self.metadata.get(f"{self.architecture}.{key}", default)


def read_gguf(file: Path) -> GgufFile:
    """Read the header of a GGUF file, and of the other parts if it is one of several.

    Raises `BadCheckpointError` for a file that is none, or not whole, and for one without a model.
    """
    parts = [_read_part(part) for part in _parts(file)]
    metadata = parts[0].metadata
    if (kind := metadata.get("general.type", "model")) != "model":
        raise BadCheckpointError(f"it is of type {kind!r}, not a whole model")
    tensors = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    expected = metadata.get("split.tensors.count", len(tensors))
    if len(tensors) != expected:
        raise BadCheckpointError(f"its parts have {len(tensors)} of {expected} tensors")
    return GgufFile(parts[0].architecture, metadata, tensors)


def first_part(file: Path) -> Path:
    """Return the file that has the metadata: the first of a split one."""
    match = _PART.search(file.name)
    return file if match is None else file.with_name(_name_of(file, match, 1))


def _parts(file: Path) -> list[Path]:
    """Return the parts of a file in order; raise `BadCheckpointError` if some are missing."""
    match = _PART.search(file.name)
    num_parts = _read_metadata(file).get("split.count") or 1
    if num_parts == 1:
        return [file]
    if match is None or int(match[2]) != num_parts:
        raise BadCheckpointError(
            f"it is one of {num_parts} parts, whose names must end in "
            f"-00001-of-{num_parts:05}.gguf and so on"
        )
    parts = [file.with_name(_name_of(file, match, n)) for n in range(1, num_parts + 1)]
    if missing := [part.name for part in parts if not part.is_file()]:
        raise BadCheckpointError(f"it lacks {name_some(missing, 'parts')}")
    return parts


def _name_of(file: Path, match: re.Match[str], number: int) -> str:
    return f"{file.name[: match.start()]}-{number:05}-of-{match[2]}.gguf"


def _read_metadata(file: Path) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = read_gguf_metadata(str(file))[0]
    except _ERRORS as error:
        raise BadCheckpointError(f"it cannot be read as GGUF: {_reason(file, error)}") from error
    return metadata


def _read_part(file: Path) -> GgufFile:
    metadata = _read_metadata(file)
    try:
        header = GgufHeader.from_file(str(file))
        tensors = {
            info.name: GgufTensor(
                info.name,
                info.shape,
                gguf.GGMLQuantizationType(info.ggml_type),
                file,
                header.data_start + info.offset,
                info.nbytes,
            )
            for info in header.tensors
        }
    except _ERRORS as error:
        raise BadCheckpointError(f"it cannot be read as GGUF: {_reason(file, error)}") from error
    end = max((tensor.start + tensor.num_bytes for tensor in tensors.values()), default=0)
    if (size := file.stat().st_size) < end:
        raise BadCheckpointError(f"{file.name} is damaged: it has {size} of {end} bytes")
    return GgufFile(header.architecture, metadata, tensors)


def _reason(file: Path, error: Exception) -> str:
    text = str(error).replace(str(file), "it")
    return text if isinstance(error, ValueError | OSError) and text else "its header is damaged"
