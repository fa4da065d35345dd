"""Check of a network before its weights are read: all of its tensors are there, and it is computed.

What a load would refuse is refused here in the same words, but for what only numbers show.
"""

from typing import Any

import torch
from transformers import AutoConfig

from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.backend import (
    find_obstacle,
    find_openvino_setting,
    wants_openvino,
)
from worker.engine.transformers.model.checks import layer_shapes
from worker.engine.transformers.model.load_report import CONFIG_ERRORS, one_line
from worker.engine.transformers.model.positions import split_positions
from worker.engine.transformers.model.preview.dry_run import DryRun
from worker.engine.transformers.model.preview.skeleton import Skeleton
from worker.engine.transformers.model.quantized.format import Format
from worker.engine.transformers.model.quantized.formats import folder_format
from worker.engine.transformers.text_config import network_loader
from worker.engine.transformers.torch_forward.attention import register_attention
from worker.engine.transformers.torch_forward.mixers import Mixers, StateRecorder
from worker.engine.transformers.torch_forward.shared_attention import number_shared_attention


def read_config(checkpoint: Checkpoint) -> Any:
    """Return the network's configuration.

    Raises `UnsupportedModelError` for a network that transformers does not know.
    """
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    except (*CONFIG_ERRORS, OSError) as error:
        raise _unknown(error) from error
    if type(config) not in network_loader(config)._model_mapping:
        raise UnsupportedModelError("transformers has no language model of this kind")
    return config


def check_network(checkpoint: Checkpoint, model_config: Any, config: EngineConfig) -> str:
    """Return why torch computes the network though OpenVINO is preferred, or an empty string.

    Reads no weights. Raises `UnsupportedModelError` for a network that is not computed, and
    `BadCheckpointError` for a checkpoint that lacks tensors.
    """
    form = folder_format(checkpoint.folder)
    if form is not None and _quantizes_again(form, config):
        raise UnsupportedModelError("its weights are quantised already: set ANTIPHON_DTYPE=auto")
    has_tensors = checkpoint.is_fetched and not config.has_random_weights
    register_attention()
    try:
        skeleton = Skeleton(checkpoint, model_config, has_tensors=has_tensors)
    except (*CONFIG_ERRORS, OSError) as error:
        raise _unknown(error) from error
    obstacle = _check_layers(skeleton.model, config)
    skeleton.check_tensors()
    if not wants_openvino(config):
        return ""
    if obstacle and find_openvino_setting(config):
        raise UnsupportedModelError(f"OpenVINO cannot compute it: {obstacle}")
    return obstacle


@torch.inference_mode()
def _check_layers(model: Any, config: EngineConfig) -> str:
    """Return what OpenVINO cannot compute of a network, or an empty string.

    Raises `UnsupportedModelError` for layers that neither computes.
    """
    with DryRun():
        try:
            split_positions(model)
            number_shared_attention(model)
            mixers = Mixers(model)
            with mixers.computing(StateRecorder()):
                layers = layer_shapes(model, mixers.layers)
        except UnsupportedModelError:
            raise
        except CONFIG_ERRORS:  # what depends on the numbers of weights is left to the load
            return ""
    return find_obstacle(model, layers, has_images=config.image_sample is not None)


def _quantizes_again(form: Format, config: EngineConfig) -> bool:
    """Return True if a configuration asks for fewer bits for weights that are packed."""
    is_packed = form.conversion != "full" or not wants_openvino(config)
    return is_packed and config.dtype in ("int8", "int4")


def _unknown(error: BaseException) -> UnsupportedModelError:
    return UnsupportedModelError(f"transformers cannot load it: {one_line(error)}")
