"""Check that each quantised weight has all of its tensors, by names and types alone.

The readers of the formats compare shapes as well, which takes an import of torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.engine.checkpoint.files import Checkpoint
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.checkpoint.weight_files import read_tensors
from worker.engine.interface import BadCheckpointError


@dataclass(frozen=True, slots=True)
class Parts:
    """Suffixes of the tensors of a weight, after a common stem."""

    levels: str
    required: tuple[str, ...]
    types: frozenset[str] = field(default_factory=frozenset)
    """Types of levels that are quantised; empty for any."""


_FLOATS = frozenset({"F8_E4M3", "F8_E5M2"})
PARTS: dict[str, Parts] = {
    "AWQ": Parts(".qweight", (".qzeros", ".scales")),
    "GPTQ": Parts(".qweight", (".qzeros", ".scales")),
    "compressed-tensors W4A16": Parts(".weight_packed", (".weight_scale", ".weight_shape")),
    "compressed-tensors FP8": Parts("", ("_scale",), _FLOATS),
    "FP8": Parts("", ("_scale_inv",), _FLOATS),
    "MXFP4": Parts("_blocks", ("_scales",), frozenset({"U8"})),
}
"""Parts by the names of quantisations."""


def find_lacking_parts(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem for the first quantised weight that lacks a tensor."""
    found = find_quantization(config, {})
    parts = PARTS.get(found.name) if found is not None else None
    if parts is None or not checkpoint.is_fetched:
        return
    try:
        tensors = read_tensors(checkpoint)
    except BadCheckpointError:  # reported by the checks of the files
        return
    for name, tensor in tensors.items():
        if not name.endswith(parts.levels) or (parts.types and tensor.dtype not in parts.types):
            continue
        stem = name.removesuffix(parts.levels)
        lacking = [stem + suffix for suffix in parts.required if stem + suffix not in tensors]
        if lacking:
            yield f"{name} is quantised, and {', '.join(lacking)} is missing"
            return
