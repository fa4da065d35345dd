"""Base model of an adapter: a folder, or a model of the hub, as its configuration names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from models.profile.weights import Weights, locate_weights
from models.settings import Settings
from worker.engine.checkpoint.adapter import ADAPTER
from worker.engine.checkpoint.files import CONFIG, Checkpoint
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.checkpoint.weight_files import read_tensors
from worker.engine.interface import BadCheckpointError
from worker.weights.lora.adapter import Adapter, find_places

OF_TEXT = ("tokenizer", "chat_template", "special_tokens_map", "vocab", "merges", "added_tokens")
"""Beginnings of the names of files that an adapter may bring for its base model's."""


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


def check_merge(adapter: Adapter, base: Checkpoint) -> dict[str, str]:
    """Return where each tensor of the adapter belongs; raise `BadCheckpointError` if it cannot."""
    found = find_quantization(base.read_json(CONFIG), {})
    if found is not None:
        raise BadCheckpointError(
            f"its base model is quantised ({found.name}); an adapter is merged into full weights: "
            "name those in adapter_config.json (base_model_name_or_path)"
        )
    return find_places(adapter, read_tensors(base))


@contextmanager
def with_text_of(adapter: Adapter, base: Checkpoint) -> Iterator[Checkpoint]:
    """Yield the base model with the tokenizer and the chat template that the adapter brings."""
    own = [file for file in adapter.folder.iterdir() if file.name.startswith(OF_TEXT)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file in [*base.folder.iterdir(), *own]:
            link = folder / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(file.resolve())
        sizes = {name: size for name, size in base.sizes.items() if name != ADAPTER}
        sizes |= {file.name: file.stat().st_size for file in own}
        yield replace(base, folder=folder, sizes=sizes, name=adapter.folder.resolve().name)
