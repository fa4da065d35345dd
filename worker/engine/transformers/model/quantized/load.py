"""Loading of a quantised checkpoint into the network that transformers defines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig

from worker.engine.transformers.model.quantized.format import Format
from worker.engine.transformers.model.quantized.tensors import LazyTensor, open_tensors
from worker.engine.transformers.model.quantized.weight import PackedWeight

_QUANTIZATION = "quantization_config"


def load_quantized(
    loader: Any, folder: Path, form: Format, model_config: Any, **settings: Any
) -> tuple[Any, dict[str, Any]]:
    """Return the network, and transformers' report of the loading; `settings` are of `loader`.

    Its parameters are `PackedWeight`s where the checkpoint has quantised weights.
    """
    drop_quantization(model_config)
    with torch.device("meta"):  # without memory
        network_class: Any = type(loader.from_config(model_config))
    tensors = open_tensors(folder, form, settings["dtype"])
    model, report = network_class.from_pretrained(
        None, config=model_config, state_dict=tensors, output_loading_info=True, **settings
    )
    drop_zero_biases(report, tensors)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model, report


def drop_quantization(model_config: Any) -> None:
    """Remove the quantisation from a configuration: transformers would look for its library."""
    parts = (getattr(model_config, name, None) for name in model_config.sub_configs)
    for part in (model_config, *parts):
        if hasattr(part, _QUANTIZATION):
            delattr(part, _QUANTIZATION)


def drop_zero_biases(report: dict[str, Any], tensors: Mapping[str, LazyTensor]) -> None:
    """Remove biases that change nothing from a report: some quantisers give each layer one."""
    surplus = report["unexpected_keys"]
    report["unexpected_keys"] = {name for name in surplus if not _is_zero_bias(name, tensors)}


def move_packed(model: nn.Module, device: torch.device) -> None:
    """Move the packed weights of a network to a device.

    `Module.to` would move the tensors that stand for them, but not what these hold.
    """
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, PackedWeight):
                setattr(module, name, nn.Parameter(parameter.to(device), requires_grad=False))


def dequantize_packed(model: nn.Module) -> None:
    """Replace the packed weights of a network by weights in full."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, PackedWeight):
                weights = parameter.dequantize_weight()
                setattr(module, name, nn.Parameter(weights, requires_grad=False))


def _is_zero_bias(name: str, tensors: Mapping[str, LazyTensor]) -> bool:
    return name.endswith(".bias") and name in tensors and not tensors[name][...].any()
