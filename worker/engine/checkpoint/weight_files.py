"""Files that hold the weights of a checkpoint, and checks that all of them are there and whole."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from worker.engine.checkpoint.files import INDEX, WEIGHTS, Checkpoint, name_some
from worker.engine.checkpoint.headers import TensorHeader, read_header
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.interface import BadCheckpointError

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
_PLAIN_TYPES = frozenset({"F64", "F32", "F16", "BF16", "BOOL", "I64"})
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def find_missing_files(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if there are no weights, or not all files of them."""
    del config
    if INDEX in checkpoint.sizes:
        named = sorted(set(_weight_map(checkpoint).values()))
        if gone := [name for name in named if name not in checkpoint.sizes]:
            yield f"its index names {name_some(gone, 'files')} missing from it"
        return
    if WEIGHTS in checkpoint.sizes:
        return
    parts = checkpoint.weight_files
    if gone := _missing_shards(parts):
        yield f"it has no {INDEX}, and lacks {name_some(gone, 'files')}"
    elif parts:
        yield f"it has neither {WEIGHTS} nor {INDEX}, only {', '.join(parts[:3])}"
    elif any(name.endswith(_PICKLED) for name in checkpoint.sizes):
        yield "it has pickled weights only, which could run code: convert them to safetensors"
    else:
        yield "it has no safetensors files"


def find_damaged_files(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem for each file that is cut off or damaged, or lacks what the index says."""
    if not checkpoint.is_fetched:
        return
    kinds: Counter[str] = Counter()
    weight_map = _weight_map(checkpoint) if INDEX in checkpoint.sizes else {}
    for name in read_files(checkpoint):
        try:
            tensors = read_header(checkpoint.folder / name)
        except BadCheckpointError as error:
            yield str(error)
            continue
        lacking = [key for key, file in weight_map.items() if file == name and key not in tensors]
        if lacking:
            yield f"{name} lacks {name_some(lacking, 'tensors')} of its index"
        kinds.update(_packed_types(tensors))
    if kinds and find_quantization(config, {}) is None:
        found = ", ".join(f"{number} of {kind}" for kind, number in kinds.most_common())
        yield (
            f"it has tensors of quantised types ({found}), and its config.json no "
            "quantization_config that says how to read them"
        )


def read_files(checkpoint: Checkpoint) -> list[str]:
    """Return the names of the files that are read; folders may have the weights twice."""
    if INDEX in checkpoint.sizes:
        return sorted(set(_weight_map(checkpoint).values()) & checkpoint.sizes.keys())
    return [WEIGHTS] if WEIGHTS in checkpoint.sizes else []


def weight_files_of(folder: Path) -> list[str]:
    """Return the names of the safetensors files in a folder that are read; without an index, all.

    A folder may have its weights twice, in files that no index names.
    """
    checkpoint = Checkpoint.of_folder(folder)
    return read_files(checkpoint) or checkpoint.weight_files


def read_tensors(checkpoint: Checkpoint) -> dict[str, TensorHeader]:
    """Return the headers of all tensors that are read; raises `BadCheckpointError`."""
    found: dict[str, TensorHeader] = {}
    for name in read_files(checkpoint):
        found |= read_header(checkpoint.folder / name)
    return found


def _packed_types(tensors: Mapping[str, TensorHeader]) -> Iterator[str]:
    """Yield the type of each matrix that is not of plain numbers."""
    for tensor in tensors.values():
        # Integer vectors are positions and the like.
        if tensor.dtype not in _PLAIN_TYPES and len(tensor.shape) > 1:
            yield tensor.dtype


def _weight_map(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the file of each tensor; raise `BadCheckpointError` for an index that says none."""
    found = checkpoint.read_json(INDEX).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise BadCheckpointError(f"{INDEX} has no weight_map")
    for name in found.values():
        if not isinstance(name, str) or "/" in name or not name.endswith(".safetensors"):
            raise BadCheckpointError(f"{INDEX} names {name!r}, which is no safetensors file of it")
    return found


def _missing_shards(names: list[str]) -> list[str]:
    """Return the names of files that are missing from a numbered series."""
    shards = {name: match for name in names if (match := _SHARD.search(name))}
    if not shards:
        return []
    first, match = next(iter(shards.items()))
    stem, num_shards = first[: match.start()], int(match[2])
    series = [f"{stem}-{n:05}-of-{num_shards:05}.safetensors" for n in range(1, num_shards + 1)]
    return [name for name in series if name not in shards]
