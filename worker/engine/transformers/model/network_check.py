"""Check of a network before its weights are read: it is known, and all of its tensors are there."""

from typing import Any

from transformers import AutoConfig

from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.model.loader import CONFIG_ERRORS, network_loader, one_line
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.model.quantized.formats import folder_format
from worker.engine.transformers.model.skeleton import check_tensors


def check_network(checkpoint: Checkpoint) -> Any:
    """Return the network's configuration, after a look at the names and shapes of its tensors.

    Reads no weights. Raises `UnsupportedModelError` for a network that transformers does not know,
    and `BadCheckpointError` for a checkpoint that lacks tensors.
    """
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        loader = network_loader(config)
        if type(config) not in loader._model_mapping:
            raise UnsupportedModelError("transformers has no language model of this kind")
        folder_format(checkpoint.folder)
        if checkpoint.is_fetched:
            footprint(checkpoint.folder)
            check_tensors(checkpoint, loader, config)
    except (*CONFIG_ERRORS, OSError) as error:
        raise UnsupportedModelError(f"transformers cannot load it: {one_line(error)}") from error
    return config
