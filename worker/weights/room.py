"""Checks before a download: that the model would be served, and fits into disk and memory."""

import shutil
from pathlib import Path

from models.settings import Settings
from worker.engine.checkpoint.examine import checks_of, examine
from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import BadCheckpointError, ModelTooLargeError
from worker.engine.transformers.model.memory import total_cpu_bytes
from worker.weights.network_facts import describe_network

_GIB = 2**30
_SPARE_BYTES = _GIB
"""Bytes of the disk that a download leaves to everything else."""


def check_before_download(checkpoint: Checkpoint, settings: Settings) -> None:
    """Raise `UnsupportedModelError` for a model that would not be served, by its small files.

    Raises `ModelTooLargeError` if it does not fit on the disk, or could never fit into memory; at
    its load, only memory that is free counts.
    """
    for fault in examine(checkpoint, checks_of(settings.engine)):
        raise BadCheckpointError(fault.problem)
    if settings.engine != "transformers":  # others place weights in their own ways
        return
    faults, facts = describe_network(checkpoint, settings)
    for fault in faults:
        if fault.check != "memory":
            raise BadCheckpointError(fault.problem)
    free = free_disk_bytes(checkpoint.folder)
    if facts["stored_bytes"] + _SPARE_BYTES > free:
        raise ModelTooLargeError(
            f"its files have {facts['stored_bytes'] / _GIB:.2f} GiB, and {free / _GIB:.2f} GiB are "
            f"free on the disk of {checkpoint.folder.parent}"
        )
    needed = facts["weights_bytes"] + facts["cache_bytes"]
    if needed > (total := total_cpu_bytes()) and facts["device"] == "cpu":
        raise ModelTooLargeError(
            f"weights and cache need {needed / _GIB:.2f} GiB, and the machine has "
            f"{total / _GIB:.2f} GiB"
        )


def free_disk_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is on."""
    return shutil.disk_usage(folder).free
