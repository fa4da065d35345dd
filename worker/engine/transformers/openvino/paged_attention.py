"""Attention over a paged cache as one operation of OpenVINO's CPU plugin, `PagedAttention`.

While a model is traced, a `LayerAttention` replaces the attention of each layer, and `extensions`
makes the converter put a `PagedAttention` node there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.frontend.pytorch import ConversionExtension, ModuleExtension
from openvino.op import _PagedAttentionExtension
from torch import Tensor, nn

from worker.engine.transformers.openvino.network import CACHE_PREFIXES, layout_inputs
from worker.engine.transformers.torch_forward.attention import AttentionOptions

_OPERATOR = "antiphon::paged_attention"
_NUM_INPUTS = 10
"""Inputs of a traced attention: query, key, value, two caches and the five of a step's layout."""


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Sizes of a layer's keys and values, which the plugin needs besides the tensors."""

    num_heads: int
    key_size: int
    value_size: int

    def attach_to(self, node: Any) -> None:
        """Write the sizes to the node's runtime information, where the plugin reads them."""
        info = node.get_rt_info()
        info["num_k_heads"] = info["num_v_heads"] = self.num_heads
        info["k_head_size"], info["v_head_size"] = self.key_size, self.value_size


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Attention parameters of one layer; several query heads may share a key head (GQA)."""

    num_query_heads: int
    sizes: HeadSizes
    scale: float
    window: int
    """Tokens that a query attends to, itself included; 0 for all."""
    sinks: NDArray[Any] | None
    """[1, query heads, 1, 1] in float32: attention sinks, logits without a value (gpt-oss)."""


class LayerAttention(nn.Module):
    """Placeholder for the attention of one layer; only the shape of its output is correct."""

    def __init__(self, layer: int, shape: LayerShape) -> None:
        super().__init__()
        self.layer = layer
        self.shape = shape

    def forward(self, query: Tensor, *_: Tensor) -> Tensor:
        """Map [tokens, query heads * size] to [tokens, query heads * value size]."""
        size = self.shape.num_query_heads * self.shape.sizes.value_size
        return query.new_zeros(len(query), size)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Inputs of the graph that each layer reads, by number of the layer."""

    windows: Mapping[int, int]
    """Tokens that the queries of a layer attend to; 0 for all."""
    owners: Mapping[int, int]
    """Layer that has the caches: another one, if the layer has no keys of its own (Gemma 3n)."""

    @property
    def sizes(self) -> list[int]:
        """Windows of the network, each of which has its own layout."""
        return sorted(set(self.windows.values()))

    def cache_inputs(self) -> list[str]:
        """Return the names of the caches."""
        owners = sorted(set(self.owners.values()))
        return [f"{prefix}{owner}" for owner in owners for prefix in CACHE_PREFIXES]

    def inputs(self) -> list[str]:
        """Return the names of caches and layouts."""
        return self.cache_inputs() + [name for size in self.sizes for name in layout_inputs(size)]


@dataclass(frozen=True, slots=True)
class TracedAttention:
    """Implementation of `AttentionStep` for a forward pass that is being traced."""

    layers: nn.ModuleDict
    """Placeholders by layer number. Missing ones are added, so the model must run once before it
    is traced."""
    plan: MemoryPlan
    inputs: Mapping[str, Tensor]
    """Caches and layouts by name."""
    subsequence_begins: Tensor

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Map query [heads, tokens, size] and new keys and values to [tokens, heads, size]."""
        if str(layer) not in self.layers:
            sizes = HeadSizes(key.shape[0], key.shape[2], value.shape[2])
            shape = LayerShape(
                num_query_heads=query.shape[0],
                sizes=sizes,
                scale=options.scale or query.shape[2] ** -0.5,
                window=self.plan.windows[layer],
                sinks=_as_array(options.sinks),
            )
            self.layers[str(layer)] = LayerAttention(layer, shape)
        module: Any = self.layers[str(layer)]
        owner = self.plan.owners[layer]
        caches = [self.inputs[f"{prefix}{owner}"] for prefix in CACHE_PREFIXES]
        names = layout_inputs(self.plan.windows[layer])
        past_lens, *blocks = (self.inputs[name] for name in names)
        heads = (_flatten_heads(each) for each in (query, key, value))
        output = module(*heads, *caches, past_lens, self.subsequence_begins, *blocks)
        result: Tensor = output.reshape(-1, query.shape[0], value.shape[2])
        return result


def extensions(layers: nn.ModuleDict) -> tuple[dict[Any, ModuleExtension], ConversionExtension]:
    """Return the extensions with which the converter makes a node of each layer's attention."""

    def evaluate(module: Any, *inputs: Tensor) -> Tensor:
        return LayerAttention.forward(module, *inputs)

    def convert(module: Any, target: Callable[..., Tensor], *inputs: Tensor, **_: Any) -> Tensor:
        return target(*inputs, torch.tensor(module.layer))

    def build(context: Any) -> list[Any]:
        inputs = [context.get_input(index) for index in range(_NUM_INPUTS)]
        layer: Any = layers[str(int(context.get_values_from_const_input(_NUM_INPUTS)))]
        return [_build_attention_node(inputs, layer.shape).output(0)]

    modules = {
        layer: ModuleExtension(layer, _OPERATOR, evaluate=evaluate, convert=convert)
        for layer in layers.values()
    }
    return modules, ConversionExtension(_OPERATOR, build)


def attention_node(inputs: Sequence[Any], sizes: HeadSizes) -> Any:
    """Return a `PagedAttention` node from all of its 28 inputs."""
    node = _PagedAttentionExtension(list(inputs))
    sizes.attach_to(node)
    return node


def _build_attention_node(inputs: Sequence[Any], shape: LayerShape) -> Any:
    *first, max_context_len = map(_as_output, inputs)
    no_int, zero = _constant(np.zeros(0, np.int32)), _constant(np.int32(0))
    no_float = _constant(np.zeros(0, np.float32))
    sinks = np.zeros((0, 0, 0, 0), np.float32) if shape.sinks is None else shape.sinks
    rest = [
        _constant(np.float32(shape.scale)),
        _constant(np.int32(shape.window)),
        no_float,  # ALiBi slopes
        max_context_len,
        *(no_int, no_int, no_int, no_float),  # aggregated scores; rotation of cached keys
        *(no_float, zero, zero),  # sparse attention (XAttention)
        _constant(sinks),
        *(zero, no_int, no_int, no_int),  # eviction by adaptive R-KV
        no_int,  # token types
        *(_constant(np.zeros(0, np.uint8)), no_int),  # bias between the queries of a step
    ]
    return attention_node([*first, *rest], shape.sizes)


def _flatten_heads(heads: Tensor) -> Tensor:
    """Map [heads, tokens, size] to [tokens, heads * size]."""
    return heads.transpose(0, 1).reshape(-1, heads.shape[0] * heads.shape[2])


def _as_output(value: Any) -> Any:
    return value if isinstance(value, openvino.Output) else value.output(0)


def _constant(value: Any) -> Any:
    return ops.constant(np.asarray(value)).output(0)


def _as_array(sinks: Tensor | None) -> NDArray[Any] | None:
    return None if sinks is None else sinks.detach().float().numpy().reshape(1, -1, 1, 1)
