"""Examination of a GGUF file: everything that its header shows, before torch is loaded.

It is what `models check` and a conversion look at first, so that both say the same.
"""

from dataclasses import dataclass
from pathlib import Path

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.architectures import Architecture, find_architecture
from worker.weights.gguf.checks.entries import check_entries
from worker.weights.gguf.checks.layers import check_layers, split_layers
from worker.weights.gguf.checks.parts import check_parts
from worker.weights.gguf.checks.shapes import check_shapes
from worker.weights.gguf.checks.vocabulary import check_vocabulary
from worker.weights.gguf.fields import Fields, check_understood, size_fields
from worker.weights.gguf.file import GgufFile, read_gguf

_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of what makes fields out of entries that are there, and mean nothing."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A GGUF file in whose header nothing is wrong."""

    file: GgufFile
    architecture: Architecture
    fields: Fields
    """Fields of its config.json."""


def examine_gguf(path: Path) -> Examined:
    """Read the header of a file and check all of it; raise `BadCheckpointError`.

    Left to the conversion is what only the network shows: optional tensors that no layer has, and
    axes whose lengths are not in the metadata.
    """
    file = read_gguf(path)
    architecture = find_architecture(file)
    check_entries(file)
    if "token_embd.weight" not in file.tensors:
        raise BadCheckpointError("it lacks 1 tensor (token_embd.weight)")
    fields = _make_fields(file, architecture)
    layers = split_layers(file, fields, architecture.left_out(file))
    check_layers(file, fields, layers)
    check_parts(file, fields, layers)
    check_shapes(file, fields, layers)
    check_vocabulary(file)
    return Examined(file, architecture, fields)


def _make_fields(file: GgufFile, architecture: Architecture) -> Fields:
    try:
        fields = size_fields(file) | architecture.fields(file)
    except _ERRORS as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadCheckpointError(f"its metadata describe no network: {reason}") from error
    check_understood(file)
    return fields
