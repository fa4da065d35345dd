"""Check that a folder of weights is a whole checkpoint in a format that is read here."""

from pathlib import Path

from worker.engine.checkpoint.examine import NETWORK_CHECKS, examine
from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.quantized.footprint import footprint


def check_folder(folder: Path) -> None:
    """Raise `BadCheckpointError` unless the folder is a whole checkpoint in a known format.

    Reads configuration and the headers of the safetensors files, no weights.
    """
    for fault in examine(Checkpoint.of_folder(folder), NETWORK_CHECKS):
        raise BadCheckpointError(fault.problem)
    footprint(folder)  # looks at the tensors of every quantised weight
