"""Conversion of a transformers model to an OpenVINO graph with a `PagedAttention` node per layer.

The unmodified model is traced on a few arbitrary tokens; only its attention is ours, registered
with transformers by name. No code here is specific to an architecture.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch import ConversionExtension
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.backend import find_obstacle
from worker.engine.transformers.model.image_placement import ImagePlacement
from worker.engine.transformers.model.image_positions import has_grid_positions
from worker.engine.transformers.model.layer_probe import probe_layers
from worker.engine.transformers.openvino.conversion.strides import replace_strided_slices
from worker.engine.transformers.openvino.network import (
    CACHE_PREFIXES,
    DEEP_INPUT,
    IMAGE_INPUTS,
    INPUTS,
)
from worker.engine.transformers.openvino.paged_attention import (
    MemoryPlan,
    TracedAttention,
    extensions,
)
from worker.engine.transformers.text_config import text_config_name

_TOKENS = (1, 2, 3, 4)
_POSITIONS = "position_ids"
_BLOCK_SIZE = 32
"""Block size of the CPU plugin in tokens, for the placeholder caches of tracing."""


class ForwardPass(nn.Module):
    """Module that is traced: packed tokens in, logits of the sampled rows out."""

    def __init__(self, model: Any, plan: MemoryPlan) -> None:
        super().__init__()
        self.model = model
        self.layers = nn.ModuleDict()
        self.placement = ImagePlacement(model)
        self._plan = plan

    def forward(  # noqa: PLR0913 - the inputs of the graph
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        sampled_rows: Tensor,
        subsequence_begins: Tensor,
        memory: Sequence[Tensor],
        image_places: Tensor | None = None,
        image_features: Tensor | None = None,
        deep_features: Tensor | None = None,
    ) -> Tensor:
        """Return float32 logits [sampled, vocab]; `memory` is in the order of the plan's inputs."""
        inputs = dict(zip(self._plan.inputs(), memory, strict=True))
        with self.placement.place(image_places, image_features, deep_features):
            output = self.model(
                input_ids=input_ids[None],
                position_ids=position_ids.unsqueeze(-2),
                use_cache=False,
                logits_to_keep=sampled_rows,
                paged=TracedAttention(self.layers, self._plan, inputs, subsequence_begins),
            )
        logits: Tensor = output.logits.squeeze(0)
        return logits.float()


def plan_memory(model: Any) -> MemoryPlan:
    """Return which caches and layouts the layers of a model read.

    Raises `UnsupportedModelError` for a model with a layer that `PagedAttention` does not compute.
    """
    layers = probe_layers(model)
    if obstacle := find_obstacle(model, layers.values(), has_images=False):
        raise UnsupportedModelError(obstacle)
    return MemoryPlan(
        windows={number: layer.visibility.window or 0 for number, layer in layers.items()},
        owners={
            number: number if layer.source is None else layer.source
            for number, layer in layers.items()
        },
    )


@torch.inference_mode()
def trace(model: Any, plan: MemoryPlan) -> openvino.Model:
    """Convert a model to a graph that shares the model's weights instead of copying them.

    `plan` is that of `plan_memory`. Raises any error of transformers, torch or the converter for a
    model that cannot be traced.
    """
    step = ForwardPass(model, plan).eval()
    example = _make_example(plan)
    hidden_size = model.config.get_text_config().hidden_size
    if text_config_name(model.config):
        features = torch.zeros(2, hidden_size)
        example |= dict(zip(IMAGE_INPUTS, (torch.tensor([1, 2]), features), strict=True))
    if has_grid_positions(model):
        example[_POSITIONS] = example[_POSITIONS].repeat(3, 1)
    if step.placement.num_levels:
        example[DEEP_INPUT] = torch.zeros(step.placement.num_levels, 2, hidden_size)
    step(**example)  # adds the layers, so that tracing sees them as modules
    with warnings.catch_warnings():
        # torch warns of Python numbers that become constants; the load check detects wrong ones.
        warnings.simplefilter("ignore")
        graph = _convert(step, example)
    _set_inputs(graph, _input_shapes(example, plan))
    replace_strided_slices(graph)
    return graph


def _convert(step: ForwardPass, example: dict[str, Any]) -> openvino.Model:
    modules, conversion = extensions(step.layers)
    # Not by `openvino.convert_model`, which sends telemetry on each conversion.
    frontend = FrontEndManager().load_by_framework("pytorch")
    frontend.add_extension(conversion)
    frontend.add_extension(ConversionExtension("aten::histc", _histogram))
    decoder = TorchScriptPythonDecoder(step, example_input=example, module_extensions=modules)
    return frontend.convert(frontend.load(decoder))


def _histogram(context: Any) -> list[Any]:
    """Convert `aten::histc` of integers in 0..bins-1, with which models count tokens per expert."""
    numbers, bins = context.get_input(0), context.get_values_from_const_input(1)
    on, off = ops.constant(np.int32(1)), ops.constant(np.int32(0))
    wide = ops.convert(numbers, openvino.Type.i32)
    ones = ops.one_hot(wide, ops.constant(np.int32(bins)), on, off, axis=-1)
    return [ops.reduce_sum(ones, ops.constant(np.int32(0)), keep_dims=False).output(0)]


def _make_example(plan: MemoryPlan) -> dict[str, Any]:
    def int32(*values: int) -> Tensor:
        return torch.tensor(values, dtype=torch.int32)

    size = len(_TOKENS)
    inputs: tuple[Tensor, ...] = (
        torch.tensor(_TOKENS),
        torch.arange(size),
        torch.tensor([size - 1]),
        int32(0, size),
    )
    caches = [torch.zeros(1, 1, _BLOCK_SIZE, 4) for _ in plan.cache_inputs()]
    layout = int32(0), int32(0), int32(0, 1), torch.tensor(size, dtype=torch.int32)
    memory = (*caches, *(tensor.clone() for _ in plan.sizes for tensor in layout))
    return dict(zip(INPUTS, inputs, strict=True)) | {"memory": memory}


def _input_shapes(example: dict[str, Any], plan: MemoryPlan) -> dict[str, list[int]]:
    """Return the shapes of the inputs by name, in order; -1 for tokens, sequences and blocks."""
    shapes = {name: [-1] * example[name].ndim for name in INPUTS}
    if example[_POSITIONS].ndim > 1:
        shapes[_POSITIONS] = [len(example[_POSITIONS]), -1]
    memory = zip(plan.inputs(), example["memory"], strict=True)
    shapes |= {name: [-1] * tensor.ndim for name, tensor in memory}
    if IMAGE_INPUTS[0] in example:
        shapes |= {name: [-1, *example[name].shape[1:]] for name in IMAGE_INPUTS}
    if DEEP_INPUT in example:
        levels, _, size = example[DEEP_INPUT].shape
        shapes[DEEP_INPUT] = [levels, -1, size]
    return shapes


def _set_inputs(graph: openvino.Model, shapes: dict[str, list[int]]) -> None:
    """Set names and shapes of the inputs; the plugin chooses types and shapes of the caches."""
    for parameter, (name, shape) in zip(graph.get_parameters(), shapes.items(), strict=True):
        parameter.set_partial_shape(openvino.PartialShape(shape))
        if name.startswith(CACHE_PREFIXES):
            parameter.set_element_type(openvino.Type.dynamic)
        parameter.output(0).get_tensor().set_names({name})
        parameter.set_friendly_name(name)
    graph.validate_nodes_and_infer_types()
