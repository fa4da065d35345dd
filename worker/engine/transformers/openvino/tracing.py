"""From a transformers model to an OpenVINO graph with one `PagedAttention` node per layer.

The model is traced as it is, on a few made-up tokens; only its attention is ours, registered with
transformers by name. No architecture has code here.
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

from worker.engine.transformers.model.loader import text_config_name
from worker.engine.transformers.openvino.network import CACHE_PREFIXES, IMAGE_INPUTS, INPUTS
from worker.engine.transformers.openvino.paged_attention import TracedAttention, extensions

_TOKENS = (1, 2, 3, 4)
_BLOCK_SIZE = 32
"""The plugin's, for the caches that stand in while tracing."""


class ForwardPass(nn.Module):
    """What is traced: packed tokens in, logits of the wanted rows out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.layers = nn.ModuleDict()

    def forward(  # noqa: PLR0913 - the inputs of the graph
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        sampled_rows: Tensor,
        past_lens: Tensor,
        subsequence_begins: Tensor,
        block_indices: Tensor,
        block_indices_begins: Tensor,
        max_context_len: Tensor,
        caches: Sequence[Tensor],
        image_places: Tensor | None = None,
        image_features: Tensor | None = None,
    ) -> Tensor:
        """Return [sampled, vocab] in float32."""
        layout = (
            past_lens,
            subsequence_begins,
            block_indices,
            block_indices_begins,
            max_context_len,
        )
        tokens = {"input_ids": input_ids[None]}
        if image_places is not None and image_features is not None:
            embeddings = self.model.get_input_embeddings()(input_ids)
            placed = embeddings.clone().index_put_((image_places,), image_features)
            tokens = {"inputs_embeds": placed[None]}
        output = self.model(
            **tokens,
            position_ids=position_ids[None],
            use_cache=False,
            logits_to_keep=sampled_rows,
            paged=TracedAttention(self.layers, caches, layout),
        )
        logits: Tensor = output.logits.squeeze(0)
        return logits.float()


@torch.inference_mode()
def trace(model: Any) -> openvino.Model:
    """Convert the model; its weights are shared with the graph, not copied.

    Raises whatever transformers, torch or the converter raise for a model that can't be traced.
    """
    step = ForwardPass(model).eval()
    text = model.config.get_text_config()
    num_layers = int(text.num_hidden_layers)
    example = _example(num_layers)
    if text_config_name(model.config):
        features = torch.zeros(2, text.hidden_size)
        example |= dict(zip(IMAGE_INPUTS, (torch.tensor([1, 2]), features), strict=True))
    step(**example)  # finds the layers, so that tracing sees them as modules
    with warnings.catch_warnings():
        # Of numbers that become constants: whether that is right, the load check tells.
        warnings.simplefilter("ignore")
        graph = _converted(step, example)
    _name_inputs(graph, _shapes(example, num_layers))
    return graph


def _converted(step: ForwardPass, example: dict[str, Any]) -> openvino.Model:
    modules, conversion = extensions(step.layers)
    # Not by `openvino.convert_model`: that reports each conversion to its makers.
    frontend = FrontEndManager().load_by_framework("pytorch")
    frontend.add_extension(conversion)
    frontend.add_extension(ConversionExtension("aten::histc", _histogram))
    decoder = TorchScriptPythonDecoder(step, example_input=example, module_extensions=modules)
    return frontend.convert(frontend.load(decoder))


def _histogram(context: Any) -> list[Any]:
    """Count whole numbers of 0..bins-1: how many tokens go to each expert."""
    numbers, bins = context.get_input(0), context.get_values_from_const_input(1)
    on, off = ops.constant(np.int32(1)), ops.constant(np.int32(0))
    wide = ops.convert(numbers, openvino.Type.i32)
    ones = ops.one_hot(wide, ops.constant(np.int32(bins)), on, off, axis=-1)
    return [ops.reduce_sum(ones, ops.constant(np.int32(0)), keep_dims=False).output(0)]


def _example(num_layers: int) -> dict[str, Any]:
    def numbers(*values: int) -> Tensor:
        return torch.tensor(values, dtype=torch.int32)

    size = len(_TOKENS)
    inputs: tuple[Tensor, ...] = (
        torch.tensor(_TOKENS),
        torch.arange(size),
        torch.tensor([size - 1]),
        numbers(0),
        numbers(0, size),
        numbers(0),
        numbers(0, 1),
        torch.tensor(size, dtype=torch.int32),
    )
    caches = tuple(torch.zeros(1, 1, _BLOCK_SIZE, 4) for _ in range(2 * num_layers))
    return dict(zip(INPUTS, inputs, strict=True)) | {"caches": caches}


def _shapes(example: dict[str, Any], num_layers: int) -> dict[str, list[int]]:
    """Names of the inputs in their order; any number of tokens, sequences and blocks is -1."""
    shapes = {name: [-1] * example[name].ndim for name in INPUTS}
    caches = [f"{prefix}{layer}" for layer in range(num_layers) for prefix in CACHE_PREFIXES]
    shapes |= {name: [-1] * 4 for name in caches}
    if IMAGE_INPUTS[0] in example:
        shapes |= {name: [-1, *example[name].shape[1:]] for name in IMAGE_INPUTS}
    return shapes


def _name_inputs(graph: openvino.Model, shapes: dict[str, list[int]]) -> None:
    """Give the inputs names and shapes; the plugin chooses type and shape of caches."""
    for parameter, (name, shape) in zip(graph.get_parameters(), shapes.items(), strict=True):
        parameter.set_partial_shape(openvino.PartialShape(shape))
        if name.startswith(CACHE_PREFIXES):
            parameter.set_element_type(openvino.Type.dynamic)
        parameter.output(0).get_tensor().set_names({name})
        parameter.set_friendly_name(name)
    graph.validate_nodes_and_infer_types()
