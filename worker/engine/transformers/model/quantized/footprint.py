"""Number of weights in a folder, and the bytes that they will take in memory."""

import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

from worker.engine.checkpoint.headers import TensorHeader, read_header
from worker.engine.checkpoint.weight_files import weight_files_of
from worker.engine.transformers.model.preview.estimate import SMALL_MATRIX, Footprint
from worker.engine.transformers.model.quantized.format import (
    StoredWeight,
    num_weights,
    stored_weights,
)
from worker.engine.transformers.model.quantized.formats import folder_format

_LAYER = re.compile(r"^(.*\b(?:layers|h|blocks)\.\d+)\.")
_NOT_LINEAR = re.compile(r"experts|visi|visual|embed")


def footprint(folder: Path) -> Footprint:
    """Return the weights of a folder of safetensors; reads their headers alone.

    Raises `BadCheckpointError` if a quantised weight lacks a tensor.
    """
    header: dict[str, TensorHeader] = {}
    for name in weight_files_of(folder):
        header |= read_header(folder / name)
    form = folder_format(folder)
    sizes = {name: prod(entry.shape) for name, entry in header.items()}
    num_layers = len({match[1] for name in header if (match := _LAYER.match(name))})
    if form is None:
        linear = [sizes[name] for name, entry in header.items() if _is_linear(name, entry)]
        return Footprint(
            num_plain=sum(sizes.values()),
            plain_bytes=sum(entry.num_bytes for entry in header.values()),
            num_layers=num_layers,
            num_linear=sum(linear),
            num_small_plain=_sum_small(linear),
        )
    quantized = stored_weights(header, form).values()
    parts = {name for weight in quantized for name in weight.tensors.values()}
    levels = {weight.tensors[form.levels] for weight in quantized}
    plain = {name: entry for name, entry in header.items() if name not in parts}
    numbers = {weight.name: num_weights(header, form, weight) for weight in quantized}
    return Footprint(
        num_plain=sum(sizes[name] for name in plain),
        plain_bytes=sum(entry.num_bytes for entry in plain.values()),
        num_layers=num_layers,
        num_small_plain=_sum_small(sizes[n] for n, entry in plain.items() if _is_linear(n, entry)),
        num_quantized=sum(numbers.values()),
        quantized_bytes=sum(header[name].num_bytes for name in parts),
        level_bytes=sum(header[name].num_bytes for name in levels),
        num_scales=sum(_num_scales(header, weight) for weight in quantized),
        num_small_quantized=_sum_small(
            number for name, number in numbers.items() if not _NOT_LINEAR.search(name)
        ),
        conversion=form.conversion,
    )


def _sum_small(sizes: Iterable[int]) -> int:
    return sum(size for size in sizes if size < SMALL_MATRIX)


def _is_linear(name: str, entry: TensorHeader) -> bool:
    is_inside = _LAYER.match(name) and not _NOT_LINEAR.search(name)
    return len(entry.shape) == 2 and bool(is_inside or name.endswith("lm_head.weight"))


def _num_scales(header: Mapping[str, TensorHeader], weight: StoredWeight) -> int:
    """Return the number of scales of a weight, and of zero points, if it has any."""
    scales = (name for suffix, name in weight.tensors.items() if "scale" in suffix)
    has_zeros = any("zero" in suffix for suffix in weight.tensors)
    return sum(prod(header[name].shape) for name in scales) * (2 if has_zeros else 1)
