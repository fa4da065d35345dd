"""Estimate of the memory that the weights of a network take once it is loaded.

`models check` shows it, and each load compares it with what is free.
"""

from dataclasses import dataclass

from worker.engine.interface import EngineConfig
from worker.engine.transformers.device import (
    has_avx512,
    has_vnni,
    resolve_device,
    resolve_dtype,
)
from worker.engine.transformers.model.quantized.format import Conversion

_COMPRESSED_BYTES = {"int8": 1.02, "int4": 0.7}
"""Bytes of a weight that OpenVINO keeps in fewer bits, scales and zero points included."""
_MIB = 1 << 20
LAYER_BYTES = {"bf16": int(2.5 * _MIB), "f32": 2 * _MIB}
"""Bytes that a layer takes in OpenVINO besides its weights, by the precision of products, as
measured: nodes of the graph and the kernels compiled for them."""
SMALL_MATRIX = 4 << 20
"""Weights in a matrix below which OpenVINO keeps two copies for products in float32: it packs the
outputs in blocks of one width for 7 to 80 rows and of another for fewer or more, unless the matrix
takes 16 MiB in float32. Loading a network computes both."""
_INT8_BYTES = 1 + 4 / 32
"""Bytes of a weight in 8 bits with a float32 scale for each 32."""
_SCALE_BYTES = 4
"""Bytes of a scale, and of a zero point, in OpenVINO, whatever their type in the checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Weights of a folder."""

    num_plain: int
    """Weights that are not quantised."""
    plain_bytes: int
    """Bytes of these as they are stored."""
    num_layers: int
    num_linear: int = 0
    """Those of `num_plain` in linear layers of the language model, experts left out."""
    num_small_plain: int = 0
    """Those of `num_linear` in matrices below `SMALL_MATRIX`."""
    num_quantized: int = 0
    quantized_bytes: int = 0
    """Bytes of the quantised weights, with scales and zero points, as they are stored."""
    level_bytes: int = 0
    """Bytes of the quantised weights without scales and zero points."""
    num_scales: int = 0
    """Number of scales and zero points."""
    num_small_quantized: int = 0
    """Those of `num_quantized` in matrices below `SMALL_MATRIX`, experts left out."""
    conversion: Conversion = "packed"

    def num_bytes(self, bytes_per_weight: float) -> int:
        """Return the bytes of all weights in torch, if a full one takes `bytes_per_weight`."""
        return int(self.num_plain * bytes_per_weight) + self.quantized_bytes

    def num_converted_bytes(
        self, bytes_per_weight: float, full_bytes: float, *, copies_small: bool
    ) -> int:
        """Return the bytes of all weights in OpenVINO.

        A full weight takes `bytes_per_weight`, or less if it is stored in less; one that is stored
        in 8 bits and converted to a full one takes `full_bytes`. `copies_small` counts those of
        small matrices twice.
        """
        plain = min(self.num_plain * bytes_per_weight, self.plain_bytes)
        quantized, scale_bytes = self.num_quantized * full_bytes, 0
        match self.conversion:
            case "packed":
                quantized, scale_bytes = self.level_bytes, _SCALE_BYTES * self.num_scales
            case "int8":
                quantized = self.num_quantized * _INT8_BYTES
        if copies_small:
            plain *= 1 + self.num_small_plain / max(1, self.num_plain)
            quantized *= 1 + self.num_small_quantized / max(1, self.num_quantized)
        return int(plain + quantized) + scale_bytes


def torch_bytes(weights: Footprint, config: EngineConfig) -> int:
    """Return the bytes of the weights in the torch forward."""
    dtype = resolve_dtype(config.dtype, resolve_device(config.device))
    saved = weights.num_linear * (dtype.itemsize - 1) if config.dtype == "int8" else 0
    return weights.num_bytes(dtype.itemsize) - saved


def openvino_bytes(weights: Footprint, dtype: str, precision: str) -> int:
    """Return the bytes of the weights in OpenVINO, for a setting of `dtype`.

    `precision` is that of products, `f32` or `bf16`.
    """
    if not has_avx512():  # without, the plugin computes in float32 what it is to in bfloat16
        precision = "f32"
    full = {"f32": 4.0, "bf16": 2.0}[precision]
    per_weight = _COMPRESSED_BYTES.get(dtype, full)
    full_bytes = _COMPRESSED_BYTES.get(dtype, 4.0 if dtype == "float32" else 2.0)
    # With activations in 8 bits there is one width of blocks.
    rounds = dtype in _COMPRESSED_BYTES or (dtype == "auto" and weights.num_quantized)
    copies_small = precision == "f32" and not (rounds and has_vnni())
    num_bytes = weights.num_converted_bytes(per_weight, full_bytes, copies_small=copies_small)
    return num_bytes + weights.num_layers * LAYER_BYTES[precision]


def expected_bytes(weights: Footprint, config: EngineConfig, *, in_openvino: bool) -> int:
    """Return the bytes of the weights before a load, which may find another precision faster."""
    if not in_openvino:
        return torch_bytes(weights, config)
    dtype = resolve_dtype(config.dtype, resolve_device(config.device))
    return openvino_bytes(weights, config.dtype, "f32" if dtype.itemsize == 4 else "bf16")
