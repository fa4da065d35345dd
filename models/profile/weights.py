"""Location and public name of the served model's weights; loads nothing and imports no torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.settings import DEFAULT_MODEL, Settings

SCRIPTED_MODEL = "scripted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Served model: its public id and the folder that its files are in, or will be fetched to."""

    model_id: str
    source: Literal["builtin", "folder", "gguf", "hub", "lora"]
    folder: Path
    """Folder of safetensors, configuration and tokenizer files; the API reads no safetensors."""

    @property
    def is_ready(self) -> bool:
        """True if the folder is complete: `config.json` is written last."""
        return (self.folder / "config.json").is_file()


def served_model_id(settings: Settings) -> str:
    """Return the model id that clients use; the scripted engine's never equals a real model's."""
    if settings.engine != "scripted":
        return locate_weights(settings).model_id
    is_default = settings.model == DEFAULT_MODEL
    return SCRIPTED_MODEL if is_default else f"{SCRIPTED_MODEL}-{settings.model}"


def locate_weights(settings: Settings) -> Weights:
    """Resolve `ANTIPHON_MODEL`: the default, a folder, a .gguf file or a Hugging Face model id.

    The folder of a LoRA adapter stands for the one that it is merged into.
    """
    path = Path(settings.model).expanduser()
    store = settings.data_dir / "weights"
    if settings.model == DEFAULT_MODEL:
        return Weights(model_id=DEFAULT_MODEL, source="builtin", folder=store / DEFAULT_MODEL)
    if (path / "adapter_config.json").is_file():
        name = path.resolve().name
        merged = store / f"{name}.{_digest_of_adapter(path)}"
        return Weights(model_id=name, source="lora", folder=merged)
    if path.is_dir():
        return Weights(model_id=path.resolve().name, source="folder", folder=path.resolve())
    if path.suffix == ".gguf":
        return Weights(model_id=path.stem, source="gguf", folder=store / path.stem)
    return Weights(
        model_id=settings.model, source="hub", folder=store / settings.model.replace("/", "--")
    )


def _digest_of_adapter(folder: Path) -> str:
    """Return digits that change with the adapter, which may be trained on in the same folder."""
    digest = hashlib.sha256((folder / "adapter_config.json").read_bytes())
    weights = folder / "adapter_model.safetensors"
    if weights.is_file():
        state = weights.stat()
        digest.update(f"{state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]
