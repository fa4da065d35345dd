"""Number of weights in a folder, and the bytes that they will take in memory."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from worker.engine.checkpoint.headers import TensorHeader, read_header
from worker.engine.transformers.model.quantized.format import (
    Conversion,
    num_weights,
    stored_weights,
)
from worker.engine.transformers.model.quantized.formats import folder_format

_INT8_BYTES = 1 + 4 / 32
"""Bytes of a weight in 8 bits with a float32 scale for each 32."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Weights of a folder."""

    num_plain: int
    """Weights that are not quantised."""
    num_quantized: int
    quantized_bytes: int
    """Bytes of the quantised weights, with scales and zero points, as they are stored."""

    conversion: Conversion = "packed"

    def num_bytes(self, bytes_per_weight: float) -> int:
        """Return the bytes of all weights in torch, if a full one takes `bytes_per_weight`."""
        return int(self.num_plain * bytes_per_weight) + self.quantized_bytes

    def num_converted_bytes(self, bytes_per_weight: float) -> int:
        """Return the bytes of all weights in OpenVINO, if a full one takes `bytes_per_weight`."""
        match self.conversion:
            case "packed":
                return self.num_bytes(bytes_per_weight)
            case "int8":
                converted = self.num_quantized * _INT8_BYTES
                return int(self.num_plain * bytes_per_weight + converted)
        return int((self.num_plain + self.num_quantized) * bytes_per_weight)


def footprint(folder: Path) -> Footprint:
    """Return the weights of a folder of safetensors; reads their headers alone.

    Raises `BadCheckpointError` if a quantised weight lacks a tensor.
    """
    header: dict[str, TensorHeader] = {}
    for file in folder.glob("*.safetensors"):
        header |= read_header(file)
    form = folder_format(folder)
    sizes = {name: prod(entry.shape) for name, entry in header.items()}
    if form is None:
        return Footprint(sum(sizes.values()), 0, 0)
    quantized = stored_weights(header, form).values()
    parts = {name for weight in quantized for name in weight.tensors.values()}
    return Footprint(
        num_plain=sum(sizes[name] for name in sizes.keys() - parts),
        num_quantized=sum(num_weights(header, form, weight) for weight in quantized),
        quantized_bytes=sum(header[name].num_bytes for name in parts),
        conversion=form.conversion,
    )
