"""Compiled graph with the KV cache that it reads and writes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.image_features import ImageRows, place_positions
from worker.engine.transformers.batch.packing import Pack, Row
from worker.engine.transformers.openvino.core import compile_model
from worker.engine.transformers.openvino.network import (
    CACHE_PREFIXES,
    DEEP_INPUT,
    IMAGE_INPUTS,
    layout_inputs,
)
from worker.engine.transformers.openvino.precision import Execution
from worker.engine.transformers.torch_forward.attention import Visibility

_FEATURES = (IMAGE_INPUTS[1], DEEP_INPUT)


class CompiledGraph:
    """Compiled graph that computes one step at a time; not safe for concurrent threads."""

    def __init__(self, graph: openvino.Model, execution: Execution) -> None:
        compiled = compile_model(graph, execution.properties())
        self._request = compiled.create_infer_request()
        shapes = {
            name: [size.get_length() if size.is_static else -1 for size in port.get_partial_shape()]
            for port in compiled.inputs
            for name in port.names
        }
        self._has_axes = len(shapes["position_ids"]) > 1
        """True if the network takes positions on three axes."""
        self._image_shapes = {name: shapes[name] for name in _FEATURES if name in shapes}
        """Shapes of the features of a network that takes images, by input; -1 for tokens."""
        self._caches = {
            name: (port.get_element_type(), [size.get_length() for size in shape[1:]])
            for port in compiled.inputs
            for name in port.names
            if name.startswith(CACHE_PREFIXES)
            for shape in [list(port.get_partial_shape())]
        }
        """Type, and shape of a block [heads, tokens, size], by name of the input. An 8-bit block
        also holds scales: of values for each token, of keys for each channel, as further tokens."""
        self._windows = [
            0 if not suffix else int(suffix)
            for port in compiled.inputs
            for name in port.names
            for stem, _, suffix in [name.partition(".")]
            if stem == layout_inputs(0)[0]
        ]
        """Windows of the graph's layers, 0 for those that attend to all keys."""
        first_values = next(name for name in self._caches if name.startswith(CACHE_PREFIXES[1]))
        self.block_size: int = self._caches[first_values][1][1]
        """Tokens per block, which the plugin chooses."""

    @property
    def block_bytes(self) -> int:
        """Bytes of a block over all layers."""
        return sum(prod(shape) * kind.bitwidth // 8 for kind, shape in self._caches.values())

    def allocate(self, num_blocks: int) -> None:
        """Allocate a cache of `num_blocks` blocks, and discard the previous one.

        The operating system provides each page only when it is first written.
        """
        for name, (kind, shape) in self._caches.items():
            tensor = openvino.Tensor(kind, openvino.Shape([num_blocks, *shape]))
            self._request.set_tensor(name, tensor)

    def __call__(self, packed: Pack) -> Tensor:
        """Return float32 logits [sampled, vocab]; the next call overwrites them."""
        inputs = step_inputs(packed, self.block_size, self._windows)
        if self._has_axes:
            axes = place_positions(torch.tensor([packed.rotary_positions]), packed.grid)
            inputs["position_ids"] = axes[:, 0].numpy()
        if self._image_shapes:
            inputs |= image_inputs(packed.images, self._image_shapes)
        for name, numbers in inputs.items():
            self._request.set_tensor(name, openvino.Tensor(numbers))
        self._request.infer()
        return torch.from_numpy(self._request.get_output_tensor(0).data)


def step_inputs(packed: Pack, block_size: int, windows: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the inputs of a graph for a step; see `network.INPUTS` and `layout_inputs`."""
    begins = accumulate((row.num_tokens for row in packed.rows), initial=0)
    inputs = {
        "input_ids": np.array(packed.token_ids, np.int64),
        "position_ids": np.array(packed.rotary_positions, np.int64),
        "sampled_rows": np.array(packed.sampled_rows, np.int64),
        "subsequence_begins": _int32(begins),
    }
    for window in windows:
        layout = _make_layout(packed.rows, block_size, window)
        inputs |= dict(zip(layout_inputs(window), layout, strict=True))
    return inputs


def _make_layout(rows: Sequence[Row], block_size: int, window: int) -> list[NDArray[Any]]:
    """Return where the keys lie, without the blocks of which no query of a row sees a key.

    A sequence seems to begin with its first block, which changes nothing: positions were used
    before, and windows count back from the query.
    """
    visibility = Visibility(window=window or None)
    nums_past = [row.num_keys - row.num_tokens for row in rows]
    skipped = [visibility.first_key(num_past) // block_size for num_past in nums_past]
    pairs = list(zip(rows, skipped, strict=True))
    blocks = [row.blocks[first:] for row, first in pairs]
    return [
        _int32(row.num_keys - row.num_tokens - first * block_size for row, first in pairs),
        _int32(block for table in blocks for block in table),
        _int32(accumulate((len(table) for table in blocks), initial=0)),
        np.array(max(row.num_keys - first * block_size for row, first in pairs), np.int32),
    ]


def image_inputs(
    images: Sequence[ImageRows], shapes: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[Any]]:
    """Return the inputs of a graph for the images of a step, given the shapes of its features.

    See `network.IMAGE_INPUTS` and `network.DEEP_INPUT`.
    """
    places = [place for image in images for place in image.places]
    features = [image.features for image in images]
    deep = [image.deep_features for image in images if image.deep_features is not None]
    found = {IMAGE_INPUTS[1]: features, DEEP_INPUT: deep}
    joined = {name: _join(found[name], shape) for name, shape in shapes.items()}
    return {IMAGE_INPUTS[0]: np.array(places, np.int64), **joined}


def _join(features: Sequence[Tensor], shape: Sequence[int]) -> NDArray[Any]:
    """Return features in float32, joined along the axis of tokens, which is -1 in `shape`."""
    if features:
        return torch.cat(list(features), shape.index(-1)).float().numpy()
    return np.zeros([max(size, 0) for size in shape], np.float32)


def _int32(numbers: Iterable[int]) -> NDArray[Any]:
    return np.fromiter(numbers, np.int32)
