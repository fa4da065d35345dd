"""Preparation of a model's folder: safetensors, configuration, tokenizer and chat template.

`sources.py` makes the folder; here it is made once, and converted for OpenVINO.
"""

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.profile.weights import Weights
from models.settings import Settings
from worker.engine.checkpoint.examine import examine
from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import BadCheckpointError, UnsupportedModelError
from worker.engine.transformers.backend import wants_openvino
from worker.engine.transformers.model.preview.network_check import check_network, read_config
from worker.engine.transformers.openvino.forward import GraphError, prepare_network
from worker.engine.transformers.openvino.store import is_converted
from worker.process.engine_config import engine_config
from worker.weights.errors import WeightsError
from worker.weights.sources import Step, convert_gguf, fetch_from_hub, merge_adapter

logger = logging.getLogger(__name__)


def prepare_weights(settings: Settings, weights: Weights, step: Step) -> None:
    """Fetch and convert the weights unless they are there; raise `WeightsError` on failure.

    The folder is created atomically, by a rename. Several processes may call this concurrently:
    one does the work, the others wait for it on a file lock.
    """
    if weights.source == "folder" and not weights.is_ready:
        raise WeightsError(f"ANTIPHON_MODEL: {weights.folder} has no config.json")
    if weights.is_ready:
        return
    with _lock(weights.folder):
        if weights.is_ready:
            return
        partial = _sibling_path(weights.folder, "partial")
        if weights.source != "hub":  # what was downloaded is kept
            shutil.rmtree(partial, ignore_errors=True)
        if weights.source == "hub":
            fetch_from_hub(settings, partial, step, prepare_weights)
        elif weights.source == "lora":
            source = Path(settings.model).expanduser()
            merge_adapter(source, settings, partial, step, prepare_weights)
        else:
            convert_gguf(settings, weights, partial, step)
        partial.rename(weights.folder)


def prepare_graph(settings: Settings, weights: Weights, step: Step) -> None:
    """Convert the weights for OpenVINO if the settings select it, unless that has been done.

    If the network cannot be converted, a warning is logged and the worker computes it in torch.
    Raises `WeightsError` for settings that exclude each other, and for weights that are incomplete
    or in a format that is not read.
    """
    if settings.engine != "transformers":
        return
    config = engine_config(settings, weights.folder)
    try:
        is_for_openvino = wants_openvino(config)
        if is_for_openvino and is_converted(config):
            return
        checkpoint = Checkpoint.of_folder(weights.folder, other_template=settings.chat_template)
        for fault in examine(checkpoint):
            raise BadCheckpointError(fault.problem)
        obstacle = check_network(checkpoint, read_config(checkpoint), config)
        if obstacle or not is_for_openvino:
            return
        with step("converting for this CPU"):
            prepare_network(config)
    except UnsupportedModelError as error:
        raise WeightsError(f"{weights.model_id} cannot be served: {error}") from error
    except GraphError as error:
        logger.warning("not converted: %s", error)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _sibling_path(folder, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sibling_path(folder: Path, suffix: str) -> Path:
    """Return a hidden path beside `folder`, on the same file system, so that renames are atomic."""
    return folder.with_name(f".{folder.name}.{suffix}")
