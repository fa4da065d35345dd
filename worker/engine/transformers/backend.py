"""Choice of the library that computes a network: OpenVINO on CPUs, torch elsewhere."""

from collections.abc import Iterable
from typing import Any

from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.device import resolve_device
from worker.engine.transformers.model.layer_types import two_way_layers
from worker.engine.transformers.torch_forward.attention import NO_KEYS, LayerShape
from worker.engine.transformers.torch_forward.positions import counts_positions


def wants_openvino(config: EngineConfig) -> bool:
    """Return True if OpenVINO is to compute the network unless it cannot: on CPUs.

    Raises `UnsupportedModelError` if the configuration needs a feature of OpenVINO but excludes it,
    by its device or backend.
    """
    obstacle = ""
    if resolve_device(config.device).type != "cpu":
        obstacle = "a device other than a CPU"
    elif config.forward == "torch":
        obstacle = "torch"
    if obstacle and (reason := find_openvino_setting(config)):
        raise UnsupportedModelError(f"{reason} is for OpenVINO on CPUs, not for {obstacle}")
    return not obstacle


def find_openvino_setting(config: EngineConfig) -> str:
    """Return the setting that only OpenVINO supports, or an empty string."""
    if config.forward == "openvino":
        return "ANTIPHON_FORWARD=openvino"
    if config.dtype == "int4":
        return "ANTIPHON_DTYPE=int4"
    return "ANTIPHON_KV_CACHE_DTYPE=int8" if config.kv_cache_dtype == "int8" else ""


def find_obstacle(model: Any, layers: Iterable[LayerShape], *, has_images: bool) -> str:
    """Return what OpenVINO cannot compute of a network, or an empty string.

    `layers` are the network's, those that keep a state as `NO_KEYS`.
    """
    layers = list(layers)
    if any(layer == NO_KEYS for layer in layers):
        return "it keeps a state per sequence"
    if counts_positions(model):
        return "it counts positions itself, which a graph has as constants"
    if any(layer.is_capped for layer in layers):
        return "its attention uses softcap, which PagedAttention has not"
    if any(layer.visibility.chunk is not None for layer in layers):
        return "its attention uses chunks, which PagedAttention has not"
    if has_images and two_way_layers(model):
        return "the tokens of an image attend to each other"
    return ""
