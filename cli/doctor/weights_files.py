"""Faults of weights on this machine, by their headers alone: no library of tensors is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.settings import Settings


def find_fault(settings: Settings) -> str | None:
    """Return why the model of the settings cannot be served from its files, as a sentence.

    None if nothing about the files shows that, also if they have not been fetched yet.
    """
    from models.profile.weights import locate_weights
    from worker.engine.checkpoint.examine import checks_of, examine
    from worker.engine.checkpoint.files import Checkpoint

    weights = locate_weights(settings)
    if settings.engine == "scripted" or not (weights.is_ready or weights.source == "folder"):
        return None
    checkpoint = Checkpoint.of_folder(weights.folder, other_template=settings.chat_template)
    for fault in examine(checkpoint, checks_of(settings.engine)):
        return f"{weights.model_id} cannot be served: {fault.problem}"
    return None
