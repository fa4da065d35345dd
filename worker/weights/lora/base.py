"""Base model of an adapter: a folder, or a model of the hub, as its configuration names it."""

from pathlib import Path

from models.profile.weights import Weights, locate_weights
from models.settings import Settings
from worker.engine.checkpoint.files import CONFIG
from worker.engine.interface import BadCheckpointError
from worker.weights.lora.adapter import Adapter


def locate_base(adapter: Adapter, settings: Settings) -> tuple[Settings, Weights]:
    """Return the settings of the base model alone, and where its weights are, or will be.

    Raises `BadCheckpointError` for a base that is neither a folder nor a name of the hub.
    """
    named = Path(adapter.base).expanduser()
    folder = next(
        (each for each in (named, adapter.folder / named) if (each / CONFIG).is_file()), None
    )
    is_name = adapter.base.count("/") == 1 and not adapter.base.startswith((".", "/", "~"))
    if folder is None and not is_name:
        raise BadCheckpointError(
            f"its base model is not in {adapter.base}: name a folder, or a model of the hub, in "
            "adapter_config.json (base_model_name_or_path)"
        )
    base = settings.model_copy(update={"model": str(folder or adapter.base)})
    weights = locate_weights(base)
    if weights.source == "lora":
        raise BadCheckpointError(f"its base model, {adapter.base}, is an adapter itself")
    return base, weights
