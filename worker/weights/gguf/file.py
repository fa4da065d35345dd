"""GGUF files: metadata and the places of tensors, of one file or of all parts of a split one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from worker.engine.checkpoint.files import name_some
from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.header import GgufHeader, TensorEntry, read_header

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_MAX_PARTS = 99_999
_ARCHITECTURE = "general.architecture"


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
    header = read_header(file)
    parts = [
        (part, header if part == file else read_header(part))
        for part in _parts(file, header.metadata.get("split.count") or 1)
    ]
    metadata = parts[0][1].metadata
    if (kind := metadata.get("general.type", "model")) != "model":
        raise BadCheckpointError(f"it is of type {kind!r}, not a whole model")
    architecture = metadata.get(_ARCHITECTURE)
    if not isinstance(architecture, str):
        raise BadCheckpointError(f"its metadata has no {_ARCHITECTURE}")
    tensors = {
        name: tensor for part, header in parts for name, tensor in _tensors(part, header).items()
    }
    expected = metadata.get("split.tensors.count", len(tensors))
    if len(tensors) != expected:
        raise BadCheckpointError(f"its parts have {len(tensors)} of {expected} tensors")
    return GgufFile(architecture, metadata, tensors)


def first_part(file: Path) -> Path:
    """Return the file that has the metadata: the first of a split one."""
    match = _PART.search(file.name)
    return file if match is None else file.with_name(_name_of(file, match, 1))


def _parts(file: Path, num_parts: Any) -> list[Path]:
    """Return the parts of a file in order; raise `BadCheckpointError` if some are missing."""
    match = _PART.search(file.name)
    if not isinstance(num_parts, int) or not 0 < num_parts <= _MAX_PARTS:
        raise BadCheckpointError(f"its metadata has split.count {num_parts!r}, which is no number")
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


def _tensors(file: Path, header: GgufHeader) -> dict[str, GgufTensor]:
    """Return the tensors of a part; raise `BadCheckpointError` unless all are in it."""
    found = {name: _tensor(file, entry) for name, entry in header.tensors.items()}
    places = sorted((tensor.start, tensor.start + tensor.num_bytes) for tensor in found.values())
    end = places[-1][1] if places else 0
    if (size := file.stat().st_size) < end:
        raise BadCheckpointError(f"{file.name} is damaged: it has {size} of {end} bytes")
    if any(end > start for (_, end), (start, _) in pairwise(places)):
        raise BadCheckpointError(f"{file.name} is damaged: its tensors overlap")
    return found


def _tensor(file: Path, entry: TensorEntry) -> GgufTensor:
    try:
        kind = gguf.GGMLQuantizationType(entry.kind)
    except ValueError:
        raise BadCheckpointError(f"{entry.name} is of an unknown type, {entry.kind}") from None
    if not _is_dequantised(kind):
        raise BadCheckpointError(f"{entry.name} is of the type {kind.name}, which is not read")
    length, size = gguf.GGML_QUANT_SIZES[kind]
    if not entry.shape or entry.shape[-1] % length:
        raise BadCheckpointError(
            f"{entry.name} has the shape {list(entry.shape)}, whose rows are no whole blocks of "
            f"{length} ({kind.name})"
        )
    num_bytes = prod(entry.shape) // length * size
    return GgufTensor(entry.name, entry.shape, kind, file, entry.start, num_bytes)


@cache
def _is_dequantised(kind: gguf.GGMLQuantizationType) -> bool:
    """Return True if the library reads values of a type; it is asked with a block of zeros."""
    try:
        gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True
