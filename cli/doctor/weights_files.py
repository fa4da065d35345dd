"""Completeness of weights on disk, by their headers alone: no library of tensors is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.profile.weights import Weights

_LENGTH_BYTES = 8
_MAX_HEADER = 100 * 1024 * 1024
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")
_INDEX = "model.safetensors.index.json"


def find_fault(weights: Weights) -> str | None:
    """Return what is wrong with the files of a model; None if they are whole."""
    folder = weights.folder
    if not weights.is_ready:
        return f"they are not in {folder}"
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return f"{folder} has no tokenizer"
    try:
        files = _safetensors(folder)
    except (OSError, ValueError, KeyError):
        return f"{folder / _INDEX} cannot be read"
    if not files:
        return f"{folder} has no .safetensors file"
    return next(filter(None, map(_find_fault_of_file, files)), None)


def _safetensors(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.is_file():
        names = json.loads(index.read_text())["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return sorted(folder.glob("*.safetensors"))


def _find_fault_of_file(path: Path) -> str | None:
    """Return what is wrong with a file: its header says how long it is."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if length > _MAX_HEADER:
                return f"{path} is no safetensors file"
            header = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name[:2] != "__"]
        expected = _LENGTH_BYTES + length + max(ends, default=0)
    except FileNotFoundError:
        return f"{path} is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path} cannot be read"
    if path.stat().st_size != expected:
        return f"{path} has {path.stat().st_size} of {expected} bytes"
    return None
